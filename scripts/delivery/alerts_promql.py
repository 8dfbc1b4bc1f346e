"""As much of PromQL as the checks of the rules must understand: what an expression asks for, and what it would
find if its comparisons held. Whether it is valid is Prometheus' own business."""

import re

TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*")
    | (?P<name>[A-Za-z_:][\w:]*)
    | (?P<number>\d[\w.]*)
    | (?P<operator>==|!=|>=|<=|=~|!~|[-+*/%^<>=])
    | (?P<mark>[(){}\[\],])
    )""",
    re.VERBOSE,
)
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def if_it_held(expression):
    """What must have data whether or not an alert fires: each alternative of its expression with comparisons
    that filter nothing (`bool`), exceptions that are not made, and presence where absence is looked for. So
    each series is there, and `and`, `on` and arithmetic find labels that go together."""
    return ["".join(map(neutral, alternative)).strip() for alternative in alternatives(tokenize(expression))]


def selectors(expression):
    """Names of metrics with their matchers, as (label, operator, value)."""
    return [(name, MATCHER.findall(matchers)) for name, matchers in SELECTOR.findall(expression)]


def grouped_by(expression):
    """Labels that are named outside of selectors."""
    return {label.strip() for labels in LISTS.findall(expression) for label in labels.split(",") if label.strip()}


def tokenize(expression):
    """Its tokens, each with the space before it; a selector's braces and what is in them are one."""
    tokens, place, text = [], 0, expression.rstrip()
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"no PromQL: {text[place:]!r}")
        place = found.end() if found["mark"] != "{" else text.index("}", place) + 1
        tokens.append(text[found.start() : place])
    return tokens


def alternatives(tokens):
    """The sides of each `or` that stands in no parentheses but those around it all."""
    while tokens and tokens[0].strip() == "(" and closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    parts, depth = [[]], 0
    for token in tokens:
        mark = token.strip()
        depth += (mark == "(") - (mark == ")")
        if depth == 0 and mark == "or":
            parts.append([])
        else:
            parts[-1].append(token)
    if len(parts) == 1:
        return parts
    return [alternative for part in parts for alternative in alternatives(part)]


def closing(tokens):
    """Where the first parenthesis is closed."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.strip() == "(") - (token.strip() == ")")
        if depth == 0:
            return place
    raise ValueError("a parenthesis is open")


def neutral(token):
    mark = token.strip()
    if mark in COMPARISONS:
        return f"{token} bool"
    return {"absent": "", "unless": " and"}.get(mark, token)
