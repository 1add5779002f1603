//! Scripts run only with their interpreter pinned.

use super::*;

fn script(scratch: &Scratch, name: &str, content: &str) {
    fs::write(scratch.bin(name), content).unwrap();
    mode(&scratch.bin(name), 0o755);
}

#[test]
fn a_script_is_no_program() {
    let scratch = Scratch::new();
    script(&scratch, "tool", "#!/bin/sh\necho hello\n");
    let error = Pin::take(&scratch.dirs(), "tool", false).unwrap_err();
    assert_eq!(error.code(), "program.script");
    assert!(error.to_string().contains("interpreter"), "{error}");
}

#[tokio::test]
async fn a_script_runs_with_its_interpreter_pinned() {
    let scratch = Scratch::new();
    for line in ["#!/bin/sh", "#! /bin/sh", "#!/usr/bin/env sh"] {
        script(&scratch, "tool", &format!("{line}\necho \"$0\" \"$@\"\n"));
        let pin = Pin::take_script(&scratch.dirs(), "tool", "sh", true).unwrap();
        let mut sink = Collected::default();
        let ran = Runner::new()
            .run(
                &plan(&["tool", "a b", "-c"]),
                &pin,
                &scratch.ground(),
                Limits::default(),
                pending(),
                &mut sink,
            )
            .await
            .unwrap();
        assert_eq!(ran.exit, Exit::Code(0));
        assert_eq!(
            text(&sink.stdout),
            format!("{} a b -c\n", scratch.bin("tool").display())
        );
    }
    script(&scratch, "tool", "#!/bin/sh -e\nfalse\necho not here\n");
    let pin = Pin::take_script(&scratch.dirs(), "tool", "sh", false).unwrap();
    assert_eq!(pin.script().unwrap().word(), Some("-e"));
    let mut sink = Collected::default();
    let ran = Runner::new()
        .run(
            &plan(&["tool"]),
            &pin,
            &scratch.ground(),
            Limits::default(),
            pending(),
            &mut sink,
        )
        .await
        .unwrap();
    assert_eq!((ran.exit, &*sink.stdout), (Exit::Code(1), &b""[..]));
}

#[tokio::test]
async fn a_script_or_interpreter_swapped_after_the_pin_is_not_run() {
    let scratch = Scratch::new();
    scratch.copy("sh", "mysh");
    let line = format!("#!{}\ntrue\n", scratch.bin("mysh").display());
    for swapped in ["tool", "mysh"] {
        script(&scratch, "tool", &line);
        let pin = Pin::take_script(&scratch.dirs(), "tool", "mysh", false).unwrap();
        fs::rename(scratch.bin(swapped), scratch.bin("old")).unwrap();
        sh(&format!(
            "cp {0} {1}; chmod 755 {1}",
            scratch.bin("old").display(),
            scratch.bin(swapped).display()
        ));
        let error = scratch.refusal(plan(&["tool"]), &pin, &scratch.ground()).await;
        assert_eq!(error.code(), "pin.changed");
        assert!(error.why().contains(swapped), "{error}");
    }
}

#[test]
fn the_first_line_must_name_the_interpreter_of_the_profile() {
    let scratch = Scratch::new();
    let code = |content: &str, interpreter: &str| {
        script(&scratch, "tool", content);
        Pin::take_script(&scratch.dirs(), "tool", interpreter, false)
            .map_err(|error| error.code())
            .map(drop)
    };
    assert_eq!(code("#!/bin/sh\n", "sh"), Ok(()));
    assert_eq!(code("#!/bin/cat\n", "sh"), Err("script.interpreter"));
    assert_eq!(code("#!/usr/bin/env cat\n", "sh"), Err("script.interpreter"));
    assert_eq!(code("#!/no/such/thing\n", "sh"), Err("script.interpreter"));
    for line in [
        "#!\n",
        "#! \n",
        "#!sh\n",
        "#!/usr/bin/env\n",
        "#!/usr/bin/env -S sh -e\n",
        "#!/usr/bin/env A=1 sh\n",
        "#!/usr/bin/env ./sh\n",
        "#!/bin/sh",
    ] {
        assert_eq!(code(line, "sh"), Err("script.line"), "{line:?}");
    }
    assert_eq!(
        code(&format!("#!/bin/sh {}\n", "x".repeat(300)), "sh"),
        Err("script.line")
    );
    assert_eq!(code("\u{7f}ELF", "sh"), Err("script.none"));
    // The interpreter must itself be a program, not one more script.
    script(&scratch, "reader", "#!/bin/sh\n");
    let line = format!("#!{}\n", scratch.bin("reader").display());
    assert_eq!(code(&line, "reader"), Err("program.script"));
}
