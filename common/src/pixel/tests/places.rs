//! Where a value is safe it is filled in, and comes out as it went in.

use super::*;

/// Code, a value, and what is sent.
const FILLED: &[(&str, &str, &str)] = &[
    ("<p>{{V}}</p>", "a<b>&\"'é\r\n", "<p>a&lt;b&gt;&amp;&#34;&#39;é&#13;&#10;</p>"),
    ("<p>a &amp;{{V}}&lt;</p>", "lt;", "<p>a &amp;lt;&lt;</p>"),
    ("<p alt='{{V}}' title=\"a {{V}} b\"></p>", "'\"", "<p alt='&#39;&#34;' title=\"a &#39;&#34; b\"></p>"),
    ("<p data-value = \"{{V}}\">", "", "<p data-value = \"\">"),
    ("<p DATA-V='' aria-label=''>{{V}}", "", "<p DATA-V='' aria-label=''>"),
    (
        "<img src=\"https://a.example/?a={{V}}&amp;b={{V}}\">",
        "a b&c=1",
        "<img src=\"https://a.example/?a=a%20b%26c%3D1&amp;b=a%20b%26c%3D1\">",
    ),
    (
        "<img src=' HTTPS://a.example:8443/x/{{V}}.gif?a=1&b={{V}}#{{V}}'>",
        "/?",
        "<img src=' HTTPS://a.example:8443/x/%2F%3F.gif?a=1&b=%2F%3F#%2F%3F'>",
    ),
    ("<img src=\"//a.example/?{{V}}\">", "é", "<img src=\"//a.example/?%C3%A9\">"),
    (
        "<script src=\"https://a.example/a.js?v={{V}}\"></script>",
        "'",
        "<script src=\"https://a.example/a.js?v=%27\"></script>",
    ),
    (
        "<noscript><img src=\"https://a.example/?v={{V}}\">{{V}}</noscript>",
        "<",
        "<noscript><img src=\"https://a.example/?v=%3C\">&lt;</noscript>",
    ),
    (
        "f(\"{{V}}\")",
        "a\"b\\</script>\n\u{2028}😀",
        "<script>f(\"a\\x22b\\x5c\\x3c\\x2fscript\\x3e\\x0a\\u2028\\ud83d\\ude00\")</script>",
    ),
    ("f('{{V}}', \"it's {{V}}\", '')", "", "<script>f('', \"it's \", '')</script>"),
    (
        "f(`a ${b ? `{{V}}` : {c: 1}.c} {{V}}`)",
        "`${x}",
        "<script>f(`a ${b ? `\\x60\\x24\\x7bx\\x7d` : {c: 1}.c} \\x60\\x24\\x7bx\\x7d`)</script>",
    ),
    ("a = b / c / d; f('{{V}}')", "v", "<script>a = b / c / d; f('v')</script>"),
    (
        "a = (b) / c; if (d) /'/.test(e); f('{{V}}')",
        "v",
        "<script>a = (b) / c; if (d) /'/.test(e); f('v')</script>",
    ),
    ("a = [/[/'\"]/g, x.return / 2, '{{V}}']", "v", "<script>a = [/[/'\"]/g, x.return / 2, 'v']</script>"),
    ("<script><!--\nf('{{V}}')\n//--></script>", "v", "<script><!--\nf('v')\n//--></script>"),
    (
        "<script>/* <![CDATA[ */ f('{{V}}') /* ]]> */</script>",
        "v",
        "<script>/* <![CDATA[ */ f('v') /* ]]> */</script>",
    ),
    (
        "<script type=\"text/javascript\">f('{{V}}')</script>",
        "v",
        "<script type=\"text/javascript\">f('v')</script>",
    ),
    ("<script type='module' async>f('{{V}}')</script>", "v", "<script type='module' async>f('v')</script>"),
    // An address in a string is percent-encoded, as whoever writes one there wants it.
    (
        "new Image().src = \"https://a.example/p/{{V}}?a=1&v={{V}}\"",
        "a+b@c",
        "<script>new Image().src = \"https://a.example/p/a%2Bb%40c?a=1&v=a%2Bb%40c\"</script>",
    ),
    ("f('\\x2f/a.example/?{{V}}')", "&", "<script>f('\\x2f/a.example/?%26')</script>"),
    (
        "i.src = 'https://a.example/?v=' + encodeURIComponent('{{V}}')",
        "&",
        "<script>i.src = 'https://a.example/?v=' + encodeURIComponent('\\x26')</script>",
    ),
    (
        "setTimeout(function() { f('{{V}}') }, 10)",
        "v",
        "<script>setTimeout(function() { f('v') }, 10)</script>",
    ),
    (
        "a.src = b; f('{{V}}')\nc.href = d\nf('{{V}}')",
        "v",
        "<script>a.src = b; f('v')\nc.href = d\nf('v')</script>",
    ),
    (
        "<script type=\"application/ld+json\">{\"a\\\"\": \"{{V}}\", \"b\": \"x{{V}}\"}</script>",
        "\"\\</script>",
        "<script type=\"application/ld+json\">{\"a\\\"\": \"\\u0022\\u005c\\u003c\\u002fscript\\u003e\", \"b\": \"x\\u0022\\u005c\\u003c\\u002fscript\\u003e\"}</script>",
    ),
    // Brackets and braces of scripts are no macros.
    (
        "var {value} = a[email], b = {currency: `${value}`}; f('{{V}}')",
        "v",
        "<script>var {value} = a[email], b = {currency: `${value}`}; f('v')</script>",
    ),
    // Line ends are made one kind, as browsers do.
    ("f('a',\r\n'{{V}}')\r", "v", "<script>f('a',\n'v')\n</script>"),
    ("\n <p>{{V}}", "v", "\n <p>v"),
];

#[test]
fn a_value_is_escaped_for_the_very_place_that_it_stands_in() {
    for (code, value, sent) in FILLED {
        assert_eq!(filled(code, value).as_deref(), Ok(*sent), "{code}");
    }
}

#[test]
fn the_use_case_of_a_remarketing_pixel_is_filled_in() {
    let code = "<script>\n  somePixelLibrary.track(\"{{EVENT_NAME}}\", { value: \"{{VALUE}}\", orderId: \
                \"{{TRANSACTION_ID | default: 'none'}}\" });\n</script>\n";
    let values = Given::some(&[("EVENT_NAME", "Purchase"), ("VALUE", "49.50")]);
    let rendered = Code::parse(code).unwrap().fill(&values).unwrap();
    assert_eq!(
        rendered.html,
        "<script>\n  somePixelLibrary.track(\"Purchase\", { value: \"49.50\", orderId: \"none\" });\n</script>\n"
    );
    assert_eq!(rendered.unresolved, Vec::<String>::new());
}

#[test]
fn what_has_no_value_is_nothing_and_told_once_unless_it_is_optional() {
    let code = Code::parse("f('{{EMAIL}}', '{{email}}', '{{own}}', '{{OTHER | optional}}')").unwrap();
    let rendered = code.fill(&Given::some(&[("own", "1")])).unwrap();
    assert_eq!(rendered.html, "<script>f('', '', '1', '')</script>");
    assert_eq!(rendered.unresolved, ["EMAIL", "email"]);
    assert!(!format!("{rendered:?}").contains("f("), "{rendered:?}");
}

#[test]
fn a_value_that_makes_a_dot_segment_is_refused_with_its_macros_name() {
    let refused = |name: &str| Err(Unrenderable::DotSegment(name.to_owned()));
    for code in [
        "<img src=\"https://a.example/a/{{V}}/b\">",
        "f('https://a.example/{{V}}')",
        "<a href='https://a.example/{{V}}?a'>",
    ] {
        for value in [".", ".."] {
            assert_eq!(filled(code, value), refused("V"), "{code}: {value}");
        }
        for value in ["", "...", ".a", "%2e", "./"] {
            assert!(filled(code, value).is_ok(), "{code}: {value}");
        }
    }
    assert_eq!(filled("<img src=\"https://a.example/.{{W}}\">", "."), refused("W"));
    assert_eq!(filled("<img src=\"https://a.example/%2e{{W}}/\">", ""), refused("W"));
}

#[test]
fn a_pixel_that_would_be_too_long_is_refused() {
    let refused = filled("f('{{V}}')", &"<".repeat(RENDERED_MAX));
    assert!(matches!(refused, Err(Unrenderable::TooLong(long)) if long > RENDERED_MAX), "{refused:?}");
}
