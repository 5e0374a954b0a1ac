//! Recorded answers of a scheduler as files: `NAME.cmd` with the command, `.out`, `.err` and `.rc`. Reads files only.

use std::fs;
use std::io;
use std::path::Path;

/// One recorded call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// The files' common name.
    pub name: String,
    /// The command as it was typed.
    pub command: String,
    /// Its words as a shell makes them.
    pub words: Vec<String>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
    /// Its exit code; 0 where there is no `.rc`.
    pub code: i32,
}

/// All recordings in `directory`, by name. Bytes that are no UTF-8 are replaced, as in real answers.
pub fn recordings(directory: &Path) -> io::Result<Vec<Recording>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.file_name();
        names.extend(file.to_str().and_then(|name| name.strip_suffix(".cmd")).map(str::to_owned));
    }
    names.sort();
    names.iter().map(|name| read(directory, name)).collect()
}

fn read(directory: &Path, name: &str) -> io::Result<Recording> {
    let text = |kind: &str| match fs::read(directory.join(format!("{name}.{kind}"))) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    let written = text("cmd")?;
    let command = written.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let command = command.unwrap_or_default().trim().to_owned();
    let code = text("rc")?;
    let code = match code.trim() {
        "" => 0,
        number => number.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name}.rc holds `{number}`, not an exit code"),
            )
        })?,
    };
    Ok(Recording {
        name: name.to_owned(),
        words: words(&command),
        command,
        stdout: text("out")?,
        stderr: text("err")?,
        code,
    })
}

/// The words of a simple shell command: quotes and escapes taken away, assignments before it, redirections and what
/// follows a pipe or a semicolon left out.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut redirected = false;
    let mut rest = line.chars().peekable();
    let mut finish = |word: &mut Option<String>, redirected: &mut bool| {
        if let Some(word) = word.take()
            && !std::mem::take(redirected)
        {
            words.push(word);
        }
    };
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' => finish(&mut word, &mut redirected),
            '|' | ';' | '&' => break,
            '<' | '>' => {
                word = word.filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
                finish(&mut word, &mut redirected);
                while rest.next_if(|next| matches!(next, '>' | '&' | '<')).is_some() {}
                redirected = true;
            }
            '\'' => word.get_or_insert_default().extend(rest.by_ref().take_while(|c| *c != '\'')),
            '$' if rest.next_if_eq(&'\'').is_some() => {
                let inner: String = rest.by_ref().take_while(|c| *c != '\'').collect();
                word.get_or_insert_default().push_str(&ansi(&inner));
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = rest.next().filter(|c| *c != '"') {
                    let escaped = c == '\\' && rest.peek().is_some_and(|next| "\"\\$`".contains(*next));
                    word.push(if escaped { rest.next().unwrap_or(c) } else { c });
                }
            }
            '\\' => word.get_or_insert_default().extend(rest.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    finish(&mut word, &mut redirected);
    let assignment = |word: &String| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    while let Some(first) = words.first() {
        // Programs that only start another one.
        let passed = match first.as_str() {
            "env" | "time" | "nice" | "exec" => 1,
            "timeout" => 2,
            _ if assignment(first) => 1,
            _ => break,
        };
        words.drain(..passed.min(words.len()));
    }
    words
}

/// The text of `$'…'`: octal codes and the usual letters.
fn ansi(inner: &str) -> String {
    let mut text = String::new();
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        let mut code = None;
        while let Some(digit) =
            rest.peek().and_then(|c| c.to_digit(8)).filter(|_| code.is_none_or(|code| code < 32))
        {
            code = Some(code.unwrap_or(0) * 8 + digit);
            rest.next();
        }
        match code.map(char::from_u32) {
            Some(found) => text.extend(found),
            None => text.extend(rest.next().map(|letter| match letter {
                'n' => '\n',
                't' => '\t',
                'e' => '\u{1b}',
                other => other,
            })),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_into_words_as_a_shell_does() {
        let table: [(&str, &[&str]); 10] = [
            ("squeue -h  -o \"%i|%T\"", &["squeue", "-h", "-o", "%i|%T"]),
            ("bjobs -o 'jobid stat' -json 33", &["bjobs", "-o", "jobid stat", "-json", "33"]),
            ("qstat -D $'\\037' 67\\[\\].host ", &["qstat", "-D", "\u{1f}", "67[].host"]),
            ("LC_ALL=C TZ=UTC squeue --name=x", &["squeue", "--name=x"]),
            ("bsub -q short <job.sh 2>&1", &["bsub", "-q", "short"]),
            ("bsub < job.sh -K", &["bsub", "-K"]),
            ("qstat | head -3", &["qstat"]),
            ("env LC_ALL=C TZ=UTC timeout 150 qstat -u me", &["qstat", "-u", "me"]),
            ("echo \"a\\\"b\" ''", &["echo", "a\"b", ""]),
            ("", &[]),
        ];
        for (line, expected) in table {
            assert_eq!(words(line), expected, "{line}");
        }
    }
}
