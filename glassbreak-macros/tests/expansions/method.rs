#[guard(tool = "sign_in", session = self.session, outcome = how_it_ended)]
pub(crate) async fn sign_in(&mut self, name: String, #[guard(secret)] password: String) -> Result<(), ToolError> {
    self.client.sign_in(&name, &password).await?;
    Ok(())
}
