//! Where no value is safe, `check` says so, with line and column.

use super::*;

/// Code with one macro in it, at this line and column, and the beginning of what is wrong with it.
const FAULTS: &[(&str, &str, &str)] = &[
    // HTML.
    ("<{{V}}>", "1:2", "a macro stands in the name of a tag"),
    ("<i{{V}}>", "1:3", "a macro stands in the name of a tag"),
    ("<p>a</p{{V}}>", "1:8", "a macro stands in an end tag"),
    ("<p>a</{{V}}>", "1:7", "a macro stands in an end tag"),
    ("<p>a</p {{V}}>", "1:9", "a macro stands in an end tag"),
    ("<img {{V}}>", "1:6", "a macro stands among the attributes"),
    ("<img {{V}}=\"a\">", "1:6", "a macro stands among the attributes"),
    ("<img data-{{V}}=\"a\">", "1:11", "a macro stands among the attributes"),
    ("<img alt=\"a\"{{V}}>", "1:13", "a macro stands among the attributes"),
    ("<img alt={{V}}>", "1:10", "a macro stands in an attribute without quotes"),
    ("<img alt=a{{V}} b>", "1:11", "a macro stands in an attribute without quotes"),
    ("<img\n  onload=\"f('{{V}}')\">", "2:14", "a macro stands in the event handler `onload`"),
    ("<p OnMouseOver='{{V}}'>", "1:17", "a macro stands in the event handler `onmouseover`"),
    ("<p style=\"color:{{V}}\">", "1:17", "a macro stands in a style"),
    ("<style>\na { color: {{V}} }</style>", "2:12", "a macro stands in the text of <style>"),
    ("<iframe srcdoc=\"{{V}}\"></iframe>", "1:17", "a macro stands in `srcdoc`"),
    ("<img srcset=\"https://a.example/?{{V}} 2x\">", "1:33", "a macro stands in `srcset`"),
    ("<a ping=\"https://a.example/?{{V}}\">", "1:29", "a macro stands in `ping`"),
    ("<base href=\"https://a.example/{{V}}\">", "1:31", "a macro stands in <base>"),
    ("<p id=\"{{V}}\">", "1:8", "a macro stands in `id`"),
    ("<meta http-equiv=refresh content=\"0;url={{V}}\">", "1:41", "a macro stands in `content`"),
    ("<!-- {{V}} -->", "1:6", "a macro stands in a comment"),
    ("<!-- a --!> <? {{V}} ?>", "1:16", "a macro stands in a comment"),
    ("<p></ {{V}}>", "1:7", "a macro stands in a comment"),
    ("<!doctype {{V}}>", "1:11", "a macro stands in the doctype"),
    ("<title>{{V}}</title>", "1:8", "a macro stands in the text of <title>"),
    ("<textarea>{{V}}</textarea>", "1:11", "a macro stands in the text of <textarea>"),
    ("<iframe>{{V}}</iframe>", "1:9", "a macro stands in the text of <iframe>"),
    ("<xmp>{{V}}</xmp>", "1:6", "a macro stands in the text of <xmp>"),
    ("<noembed>{{V}}</noembed>", "1:10", "a macro stands in the text of <noembed>"),
    ("<noframes>{{V}}</noframes>", "1:11", "a macro stands in the text of <noframes>"),
    ("<svg><style>{{V}}</style></svg>", "1:13", "a macro stands after <svg>"),
    ("<svg></svg><p>{{V}}", "1:15", "a macro stands after <svg>"),
    ("<math><mtext>{{V}}", "1:14", "a macro stands after <math>"),
    ("<select><title>{{V}}</title></select>", "1:16", "a macro stands after <select>"),
    ("<plaintext>{{V}}", "1:12", "a macro stands after <plaintext>"),
    (
        "<noscript><p title=\"</noscript><script>'{{V}}'</script>\"></noscript>",
        "1:41",
        "a macro stands in a <noscript>",
    ),
    ("<p>&{{V}};", "1:5", "a macro follows a `&`"),
    ("<p>&#{{V}};", "1:6", "a macro follows a `&`"),
    ("<p>&#x{{V}};", "1:7", "a macro follows a `&`"),
    ("<p>a&am{{V}}", "1:8", "a macro follows a `&`"),
    ("<p title=\"&{{V}}\">", "1:12", "a macro follows a `&`"),
    // Addresses.
    ("<img src=\"{{V}}\">", "1:11", "a macro stands in an address before its path"),
    ("<img src=\"https://{{V}}/a\">", "1:19", "a macro stands in an address before its path"),
    ("<img src=\"https://a.example{{V}}\">", "1:28", "a macro stands in an address before its path"),
    ("<img src=\"https://a.example:{{V}}/\">", "1:29", "a macro stands in an address before its path"),
    ("<img src=\"https://{{V}}@a.example/\">", "1:19", "a macro stands in an address before its path"),
    ("<img src=\"https://u@a.example/{{V}}\">", "1:31", "a macro stands in an address before its path"),
    ("<img src=\"https:\\\\a.example/{{V}}\">", "1:29", "a macro stands in an address before its path"),
    ("<img src=\"https:/{{V}}\">", "1:18", "a macro stands in an address before its path"),
    ("<img src=\"http{{V}}://a.example/\">", "1:15", "a macro stands in an address without a scheme"),
    ("<img src=\"/a?v={{V}}\">", "1:16", "a macro stands in an address without a scheme"),
    ("<a href=\"mailto:{{V}}\">", "1:17", "a macro stands in an address without a scheme"),
    ("<a href=\"javascript:f('{{V}}')\">", "1:24", "a macro stands in an address of `javascript:`"),
    ("<a href=\" java\nscript:f('{{V}}')\">", "2:11", "a macro stands in an address of `javascript:`"),
    (
        "<a href=\"&#106;avascript:f('{{V}}')\">",
        "1:29",
        "an address with a macro holds a character reference",
    ),
    ("<iframe src=\"data:text/html,{{V}}\"></iframe>", "1:29", "a macro stands in an address of `data:`"),
    (
        "<a href=\"https://a.example/?a=1&copy;={{V}}\">",
        "1:39",
        "an address with a macro holds a character reference",
    ),
    ("<a href=\"https://a.example/?a=1&{{V}}=2\">", "1:33", "a macro follows a `&`"),
    ("<a href=\"https://a.example/?a=%{{V}}\">", "1:32", "a macro follows a `%`"),
    ("<a href=\"https://a.example/?a=%4{{V}}\">", "1:33", "a macro follows a `%`"),
    (
        "<script src=\"https://a.example/{{V}}.js\"></script>",
        "1:32",
        "a macro stands in the path of what <script> loads",
    ),
    (
        "<link rel=stylesheet href='https://a.example/{{V}}'>",
        "1:46",
        "a macro stands in the path of what <link> loads",
    ),
    // Scripts.
    ("f({{V}})", "1:3", "a macro stands in JavaScript outside of a string"),
    ("{{V}}", "1:1", "a macro stands in JavaScript outside of a string"),
    ("var a = {{V}};", "1:9", "a macro stands in JavaScript outside of a string"),
    ("f(\"a\"{{V}}\"b\")", "1:6", "a macro stands in JavaScript outside of a string"),
    ("a.{{V}} = 1", "1:3", "a macro stands in JavaScript outside of a string"),
    ("f({\n  value: {{V}},\n  é: \"ü{{W}}\"})", "2:10", "a macro stands in JavaScript outside of a string"),
    ("f(`a${ {{V}} }`)", "1:8", "a macro stands in JavaScript outside of a string"),
    ("// {{V}}\nf()", "1:4", "a macro stands in a comment of a script"),
    ("f() // '{{V}}'", "1:9", "a macro stands in a comment of a script"),
    ("/* \"{{V}}\" */", "1:5", "a macro stands in a comment of a script"),
    ("f()\n<!-- '{{V}}'", "2:7", "a macro stands in a comment of a script"),
    ("f()\n--> '{{V}}'", "2:6", "a macro stands in a comment of a script"),
    ("a = /{{V}}/", "1:6", "a macro stands in a regular expression"),
    ("a.match(/[/'{{V}}]/)", "1:13", "a macro stands in a regular expression"),
    ("if (a) /'{{V}}'/.test(b)", "1:10", "a macro stands in a regular expression"),
    ("f(\"\\{{V}}\")", "1:5", "a macro follows an unfinished escape"),
    ("f(\"\\x4{{V}}\")", "1:7", "a macro follows an unfinished escape"),
    ("f(\"\\u00{{V}}\")", "1:8", "a macro follows an unfinished escape"),
    ("f(\"\\u{4{{V}}\")", "1:8", "a macro follows an unfinished escape"),
    ("f(\"\\0{{V}}\")", "1:6", "a macro follows an unfinished escape"),
    ("f(String.raw`{{V}}`)", "1:14", "a macro stands in a tagged template"),
    ("f(tag`a${1}{{V}}`)", "1:12", "a macro stands in a tagged template"),
    ("f(\"<b>{{V}}</b>\")", "1:7", "a macro stands in a string of HTML"),
    ("f('\\x3cb>{{V}}')", "1:10", "a macro stands in a string of HTML"),
    ("f(`<b>${a}{{V}}`)", "1:11", "a macro stands in a string of HTML"),
    ("eval(\"{{V}}\")", "1:7", "a macro stands in a string that `eval` takes as code"),
    ("new Function('a', 'return {{V}}')", "1:27", "a macro stands in a string that `Function` takes as code"),
    (
        "setTimeout(('f(' + '{{V}}' + ')'), 9)",
        "1:21",
        "a macro stands in a string that `setTimeout` takes as code",
    ),
    ("import '{{V}}'", "1:9", "a macro stands in a string that `import` takes as code"),
    (
        "import a from \"https://a.example/?{{V}}\"",
        "1:35",
        "a macro stands in a string that `import` takes as code",
    ),
    ("import(`https://a.example/{{V}}`)", "1:27", "a macro stands in a string that `import` takes as code"),
    ("document.write(\"{{V}}\")", "1:17", "a macro stands in a string that `write` takes as HTML"),
    ("$('{{V}}')", "1:4", "a macro stands in a string that `$` takes as HTML"),
    ("a.innerHTML = b + \"{{V}}\"", "1:20", "a macro stands in a string that `innerHTML` takes as HTML"),
    ("a.b.outerHTML += ('{{V}}')", "1:20", "a macro stands in a string that `outerHTML` takes as HTML"),
    ("$(a).append('Hi ' + \"{{V}}\")", "1:22", "a macro stands in a string that `append` takes as HTML"),
    ("location.replace(\"{{V}}\")", "1:19", "a macro stands in a string that `replace` takes as an address"),
    ("location ||= \"{{V}}\"", "1:15", "a macro stands in a string that `location` takes as an address"),
    ("location = \"{{V}}\"", "1:13", "a macro stands in a string that `location` takes as an address"),
    ("a.src = `${b}{{V}}`", "1:14", "a macro stands in a string that `src` takes as an address"),
    ("window.open(\"{{V}}\")", "1:14", "a macro stands in a string that `open` takes as an address"),
    ("f(\"https://{{V}}/\")", "1:12", "a macro stands in an address before its path"),
    ("f(\"\\x68ttps://{{V}}/\")", "1:15", "a macro stands in an address before its path"),
    ("f(\"//{{V}}/\")", "1:6", "a macro stands in an address before its path"),
    ("f(`https://${host}/{{V}}`)", "1:20", "a macro stands in an address before its path"),
    ("f(\"javascript:g('{{V}}')\")", "1:18", "a macro stands in an address of `javascript:`"),
    ("function a() {} /'/; f('{{V}}')", "1:25", "a macro stands after a `/` that may divide"),
    ("while (i-->0) {} /'/; f('{{V}}')", "1:26", "a macro stands after a `/` that may divide"),
    (
        "class A { #in; f() { return this.#in / 1 + '/' + {{V}} + '/' } }",
        "1:50",
        "a macro stands in JavaScript outside",
    ),
    ("a = b /*\n*/ --> '{{V}}'", "2:9", "a macro stands in a comment of a script"),
    ("a++ /'/; f('{{V}}')", "1:13", "a macro stands after a `/` that may divide"),
    ("\\u0061 = '{{V}}'", "1:11", "a macro stands after an escape in a name"),
    ("#!/usr/bin/env '\nf('{{V}}')", "2:4", "a macro stands after a `#!` line"),
    ("<script type=module>a\n<!-- b\nf('{{V}}')</script>", "3:4", "a macro stands after a `<!--`"),
    (
        "<script type='text/template'>'{{V}}'</script>",
        "1:31",
        "a macro stands in a script of the type `text/template`",
    ),
    (
        "<script type=importmap>{\"a\":\"{{V}}\"}</script>",
        "1:30",
        "a macro stands in a script of the type `importmap`",
    ),
    ("<script type='&#109;odule'>'{{V}}'</script>", "1:29", "a macro stands in a script of the type"),
    (
        "<script language=vbscript>\"{{V}}\"</script>",
        "1:28",
        "a macro stands in a script of the type `text/vbscript`",
    ),
    // JSON.
    (
        "<script type=\"application/json\">{\"a\": {{V}}}</script>",
        "1:39",
        "a macro stands in JSON outside of a string",
    ),
    (
        "<script type=\"application/json\">{\"a\": \"\\{{V}}\"}</script>",
        "1:41",
        "a macro follows an unfinished escape",
    ),
    (
        "<script type=\"application/json\">{\"a\": \"\\u00{{V}}\"}</script>",
        "1:44",
        "a macro follows an unfinished escape",
    ),
    // The macro itself.
    ("f(\"{{secret.key}}\")", "1:4", "a secret would be told to every visitor"),
    ("f(\"{{EMAIL | hmac: secret.key}}\")", "1:4", "a secret would be told to every visitor"),
    ("f(\"{{VALUE | number}}\")", "1:4", "`number` is for JSON bodies of webhooks"),
    ("f(\"é{{}}\")", "1:5", "a macro has no name"),
    ("f(\"{{VALUE | uper}}\")", "1:4", "`uper` is not a filter"),
    ("f()\nfunction a(){{b}", "2:13", "`{{b}` begins a macro that never ends"),
    // The whole.
    ("", "1:1", "there is no code"),
    (" \n ", "1:1", "there is no code"),
    ("f('a\0')", "1:5", "the code holds a NUL character"),
    ("<p>\n<img src=\"a", "2:12", "a tag never ends"),
    ("<!-- a", "1:7", "a comment never ends"),
    ("<p>\n<script>f()", "2:1", "<script> is never closed"),
    ("<p><style>f()</stile>", "1:4", "<style> is never closed"),
    ("<script><!-- <script> </script>", "1:1", "<script> is never closed"),
    ("f(\"</script>\")", "1:4", "this would end the script"),
    ("f('a\n')", "1:3", "a string never ends"),
    ("f(`a${b}", "1:3", "a template never ends"),
    ("f() /* a", "1:5", "a comment never ends"),
];

#[test]
fn a_place_where_no_value_is_safe_is_a_fault_with_its_line_and_column() {
    for (code, at, problem) in FAULTS {
        let found = faults(code);
        let expected = format!("{at} {problem}");
        assert!(found.iter().any(|fault| fault.starts_with(&expected)), "{code:?}: {expected}: {found:?}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_their_order_and_each_says_what_to_do() {
    let code = "<!-- {{A}} -->\n<img src=\"{{B}}\" onerror=\"{{C}}\">\n<script>f({{D}}, \"{{E\")</script>";
    let Err(found) = Code::parse(code) else { panic!("it has no fault") };
    let at: Vec<_> = found.iter().map(|fault| (fault.line, fault.column)).collect();
    assert_eq!(at, [(1, 6), (2, 11), (2, 27), (3, 1), (3, 11), (3, 18), (3, 19), (3, 19)], "{found:?}");
    assert!(found.iter().all(|fault| !fault.advice.is_empty()), "{found:?}");
    assert_eq!(
        found[0].to_string(),
        "line 1, column 6: a macro stands in a comment, where it tells nobody anything; leave it out, or take the \
         braces away"
    );
}

#[test]
fn code_of_any_size_is_refused_in_good_time() {
    let longest = "f();".repeat(CODE_MAX / 4);
    assert_eq!(faults(&longest), Vec::<String>::new());
    assert_eq!(
        faults(&format!("{longest} ")),
        [format!("1:1 the code is {} bytes long, and {CODE_MAX} are the most", CODE_MAX + 1)]
    );
    let many = |count: usize| format!("f(\"{}\")", "{{V}}".repeat(count));
    assert_eq!(faults(&many(MACROS_MAX)), Vec::<String>::new());
    assert_eq!(faults(&many(MACROS_MAX + 1)), [format!("1:1 there are over {MACROS_MAX} macros")]);
    for part in ["<", "<a ", "<!--", "\"", "'{{V}}'", "`${", "/", "{{", "(", "<script>", "&", "\\"] {
        let _ = Code::parse(&part.repeat(CODE_MAX / part.len()));
        let _ = Code::parse(&format!("<p>{}", part.repeat(CODE_MAX / part.len() - 3)));
    }
}
