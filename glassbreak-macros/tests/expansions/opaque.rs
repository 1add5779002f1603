#[guard(tool = "search")]
fn search(session: &Session, words: &[&str]) -> impl Future<Output = Result<impl Iterator<Item = Hit>, ToolError>> + Send {
    async move { Ok(find(words).await?.into_iter()) }
}
