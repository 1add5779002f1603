/// Gives money back.
///
/// At once.
#[guard(tool = "refund")]
async fn refund(session: &Session, order: u64, note: Option<&str>, #[guard(skip)] shop: &Shop) -> Result<Receipt, ToolError> {
    shop.refund(order, note).await
}
