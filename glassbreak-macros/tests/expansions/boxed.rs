#[guard(tool = "search")]
fn search<'a>(&'a self, session: &'a Session, words: Vec<String>) -> Pin<Box<dyn Future<Output = Result<Hits, ToolError>> + Send + 'a>> {
    Box::pin(async move { self.index.search(&words).await })
}
