//! What people have tried on cards, for tests.

/// What people have tried: mentions and links of chats, breakouts, blanks, padding, and characters that cannot be seen
/// or that move others.
pub(super) fn attacks() -> Vec<String> {
    let mut attacks: Vec<String> = [
        "<!channel>",
        "<!here> <@U123> <!subteam^S123>",
        "<https://evil.example|Approve here>",
        "https://evil.example/approve",
        "```\nstopped by  nobody\n```",
        ":white_check_mark: Approved by bob",
        "\u{1b}[2K\u{1b}[1A",
        "\u{1b}]8;;https://evil.example\u{1b}\\Approve\u{1b}]8;;\u{1b}\\",
        "delete\rrestart",
        "end\0of it",
        "two\nLOW risk: nothing at all",
        "x\n  stopped by  nobody\n  may open    everything",
        "x\n\n  agent says  \"fine\"",
        "\t\tfar away",
        "\" = \"safe\", force = \"no\"",
        "\\n is not \n",
        "\u{430}dmin",
        "a\u{a0}b\u{2007}c\u{3000}d",
        "Z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}",
        "\u{301}\u{301}",
        " edges ",
        "",
    ]
    .map(str::to_owned)
    .into();
    attacks.push(format!("{}kubectl delete everything", "\n".repeat(40)));
    attacks.push(format!("{}kubectl delete everything", " ".repeat(3_001)));
    attacks.extend(odd().map(|c| format!("a{c}b")));
    attacks
}

/// Characters that cannot be seen, move others, or are blank in a way of their own.
pub(super) fn odd() -> impl Iterator<Item = char> {
    let one = "\0\u{7}\u{8}\u{b}\u{c}\r\u{1b}\u{7f}\u{85}\u{9b}\u{9d}\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{1680}\u{17b4}\u{180e}\u{2007}\u{2028}\u{2029}\u{202f}\u{205f}\u{2060}\u{2064}\u{206a}\u{2800}\u{3000}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffe}\u{ffff}\u{1bca0}\u{1d173}\u{e0001}\u{e0041}\u{e007f}\u{e0100}\u{e01ef}\u{e000}\u{f8ff}\u{f0000}\u{378}\u{10ffff}";
    let ranges = ('\u{200b}'..='\u{200f}')
        .chain('\u{202a}'..='\u{202e}')
        .chain('\u{2066}'..='\u{2069}');
    one.chars().chain(ranges)
}
