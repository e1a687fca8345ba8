//! Go templates, as far as `--format` needs them.
//!
//! Fields (`{{.State.Pid}}`), `json`, `index`, `len`, `join`, `upper`, `lower`,
//! `title`, `println`, `range`, `if`, `else`, `end`. What is not understood is
//! an error that quotes it, never empty output.

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use super::words::capital;
use shoal_model::template::words;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Node>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Print(Call),
    Range(Call, Vec<Node>, Vec<Node>),
    If(Call, Vec<Node>, Vec<Node>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    source: String,
    function: Function,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Show,
    Json,
    Index,
    Len,
    Join,
    Upper,
    Lower,
    Title,
    Println,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Path(Vec<String>),
    Literal(Value),
    Call(Box<Call>),
}

enum Token {
    Text(String),
    Action(String),
}

impl Template {
    /// Reads a template; `\t` and `\n` stand for tab and line end.
    ///
    /// # Errors
    /// When an action is not understood or a block is not closed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut tokens = tokens(&text)?.into_iter();
        let (nodes, end) = block(&mut tokens)?;
        match end {
            None => Ok(Self(nodes)),
            Some(word) => bail!("template parsing error: unexpected {{{{{word}}}}}"),
        }
    }

    /// Fills the template in.
    ///
    /// # Errors
    /// When it names a field that is not there.
    pub(crate) fn render(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        render(&self.0, value, &mut out)?;
        Ok(out)
    }
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((action, after)) = after.split_once("}}") else {
            bail!("template parsing error: unclosed action in {text:?}");
        };
        tokens.push(Token::Text(before.to_owned()));
        tokens.push(Token::Action(action.trim_matches('-').trim().to_owned()));
        rest = after;
    }
    tokens.push(Token::Text(rest.to_owned()));
    Ok(tokens)
}

/// Reads up to `end` or `else`, which is returned.
fn block(tokens: &mut impl Iterator<Item = Token>) -> Result<(Vec<Node>, Option<String>)> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next() {
        let action = match token {
            Token::Text(text) if text.is_empty() => continue,
            Token::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Token::Action(action) => action,
        };
        let (word, rest) = action.split_once(' ').unwrap_or((&action, ""));
        match word {
            "end" | "else" => return Ok((nodes, Some(word.to_owned()))),
            "range" => {
                let (inner, other) = branches(tokens)?;
                nodes.push(Node::Range(call(rest)?, inner, other));
            }
            "if" => {
                let (inner, other) = branches(tokens)?;
                nodes.push(Node::If(call(rest)?, inner, other));
            }
            _ => nodes.push(Node::Print(call(&action)?)),
        }
    }
    Ok((nodes, None))
}

fn branches(tokens: &mut impl Iterator<Item = Token>) -> Result<(Vec<Node>, Vec<Node>)> {
    let (inner, end) = block(tokens)?;
    let (other, end) = match end.as_deref() {
        Some("else") => block(tokens)?,
        _ => (Vec::new(), end),
    };
    match end.as_deref() {
        Some("end") => Ok((inner, other)),
        _ => bail!("template parsing error: a block is not closed by {{{{end}}}}"),
    }
}

fn call(text: &str) -> Result<Call> {
    let words = words(text)
        .ok_or_else(|| anyhow!("template parsing error: {{{{{text}}}}} is not closed"))?;
    let bad = || anyhow!("template parsing error: {{{{{text}}}}} is not supported");
    let (first, rest) = words.split_first().ok_or_else(bad)?;
    let function = match first.as_str() {
        "json" => Function::Json,
        "index" => Function::Index,
        "len" => Function::Len,
        "join" => Function::Join,
        "upper" => Function::Upper,
        "lower" => Function::Lower,
        "title" => Function::Title,
        "println" => Function::Println,
        _ if rest.is_empty() => {
            let arguments = vec![argument(first).map_err(|_| bad())?];
            return Ok(Call { source: text.to_owned(), function: Function::Show, arguments });
        }
        _ => return Err(bad()),
    };
    let arguments = rest.iter().map(|word| argument(word)).collect::<Result<Vec<_>>>()?;
    if arguments.is_empty() {
        return Err(bad());
    }
    Ok(Call { source: text.to_owned(), function, arguments })
}

fn argument(word: &str) -> Result<Argument> {
    if let Some(inner) = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) {
        return Ok(Argument::Call(Box::new(call(inner)?)));
    }
    if let Some(path) = word.strip_prefix('.') {
        let steps = path.split('.').filter(|step| !step.is_empty()).map(str::to_owned);
        return Ok(Argument::Path(steps.collect()));
    }
    if let Some(raw) = word.strip_prefix('`').and_then(|word| word.strip_suffix('`')) {
        return Ok(Argument::Literal(Value::String(raw.to_owned())));
    }
    serde_json::from_str(word)
        .map(Argument::Literal)
        .map_err(|_| anyhow!("template parsing error: {word:?} is not supported"))
}

fn render(nodes: &[Node], dot: &Value, out: &mut String) -> Result<()> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(call) => out.push_str(&show(&call.value(dot)?)),
            Node::If(call, inner, other) => {
                let branch = if truth(&call.value(dot)?) { inner } else { other };
                render(branch, dot, out)?;
            }
            Node::Range(call, inner, other) => {
                let items = items(call.value(dot)?);
                for item in &items {
                    render(inner, item, out)?;
                }
                if items.is_empty() {
                    render(other, dot, out)?;
                }
            }
        }
    }
    Ok(())
}

impl Call {
    fn value(&self, dot: &Value) -> Result<Value> {
        let arguments = self
            .arguments
            .iter()
            .map(|argument| self.argument(argument, dot))
            .collect::<Result<Vec<_>>>()?;
        let first = arguments.first().cloned().unwrap_or_default();
        Ok(match self.function {
            Function::Show => first,
            Function::Json => Value::String(first.to_string()),
            Function::Len => Value::from(length(&first)),
            Function::Join => Value::String(self.join(&first, arguments.get(1))),
            Function::Upper => Value::String(show(&first).to_uppercase()),
            Function::Lower => Value::String(show(&first).to_lowercase()),
            Function::Title => Value::String(capital(&show(&first))),
            Function::Println => Value::String(show(&first) + "\n"),
            Function::Index => arguments[1..].iter().fold(first, |value, key| index(&value, key)),
        })
    }

    fn argument(&self, argument: &Argument, dot: &Value) -> Result<Value> {
        match argument {
            Argument::Literal(value) => Ok(value.clone()),
            Argument::Call(call) => call.value(dot),
            Argument::Path(steps) => {
                let found = steps.iter().try_fold(dot, |value, step| field(value, step));
                found.cloned().ok_or_else(|| {
                    anyhow!(
                        "template parsing error: {{{{{}}}}}: there is no such field",
                        self.source
                    )
                })
            }
        }
    }

    fn join(&self, list: &Value, separator: Option<&Value>) -> String {
        let separator = separator.map(show).unwrap_or_default();
        items(list.clone()).iter().map(show).collect::<Vec<_>>().join(&separator)
    }
}

fn field<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(step),
        // Go walks through a nil map without complaint.
        Value::Null => Some(value),
        _ => None,
    }
}

fn index(value: &Value, key: &Value) -> Value {
    let found = match (value, key) {
        (Value::Object(map), Value::String(key)) => map.get(key),
        (Value::Array(items), Value::Number(at)) => {
            at.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?))
        }
        _ => None,
    };
    found.cloned().unwrap_or(Value::Null)
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        other => length(other) > 0,
    }
}

/// A value the way Go prints it.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> Result<String> {
        let value = json!({
            "ID": "abc", "State": {"Pid": 7, "Running": true}, "Names": ["a", "b"],
            "Networks": {"x": {"IP": "10.0.0.1"}, "y": {"IP": "10.0.0.2"}},
            "Labels": {"com.example/key": "v"}, "None": null,
        });
        Template::parse(template)?.render(&value)
    }

    #[test]
    fn the_templates_people_use_work() {
        for (template, want) in [
            ("{{.ID}}\\t{{ .State.Pid }}", "abc\t7"),
            ("{{json .State}}", r#"{"Pid":7,"Running":true}"#),
            ("{{range .Networks}}{{.IP}} {{end}}", "10.0.0.1 10.0.0.2 "),
            ("{{index .Labels \"com.example/key\"}}", "v"),
            ("{{(index .Names 1)}}", "b"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{join .Names \", \"}} {{len .Names}} {{upper .ID}}", "a, b 2 ABC"),
            ("{{.Names}} {{.None}}", "[a b] <no value>"),
        ] {
            assert_eq!(render(template).expect(template), want);
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for template in
            ["{{.Nope}}", "{{.ID", "{{range .Names}}", "{{end}}", "{{printf .ID}}", "{{}}"]
        {
            assert!(render(template).is_err(), "{template}");
        }
    }
}
