/*
 * json_tree.c - the parser.
 *
 * One pass without recursion: an open array or object keeps the number of the one around it in `next` until it is closed. Strings
 * are looked at a byte at a time; documents in cells are short, and the tree is made for those.
 */
#include "enc/json_tree.h"

#include "base/text.h"

struct parser {
    struct mr_json_tree *tree;
    const char *start;
    const char *at;
    const char *end;
    unsigned rules;
    int depth;
};

void mr_json_tree_init(struct mr_json_tree *tree)
{
    *tree = (struct mr_json_tree){0};
}

void mr_json_tree_reset(struct mr_json_tree *tree)
{
    mr_free(tree->nodes);
    *tree = (struct mr_json_tree){0};
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && (*parser->at == ' ' || *parser->at == '\n' ||
                                        *parser->at == '\t' || *parser->at == '\r'))
        parser->at++;
}

static struct mr_json_node *new_node(struct parser *parser, enum mr_json_kind kind)
{
    struct mr_json_tree *tree = parser->tree;
    if (tree->count == tree->capacity) {
        uint32_t capacity = tree->capacity ? tree->capacity * 2 : 32;
        struct mr_json_node *nodes = mr_realloc(tree->nodes, capacity * sizeof(*nodes));
        if (nodes == NULL) {
            tree->nomem = true;
            return NULL;
        }
        tree->nodes = nodes;
        tree->capacity = capacity;
    }
    struct mr_json_node *node = &tree->nodes[tree->count++];
    *node = (struct mr_json_node){.kind = (uint8_t)kind,
                                  .next = tree->count,
                                  .start = (uint32_t)(parser->at - parser->start)};
    return node;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* At the character behind a backslash: past the escape, or false. */
static bool scan_escape(struct parser *parser)
{
    if (parser->at == parser->end)
        return false;
    char c = *parser->at++;
    if (c == '\'')
        return (parser->rules & MR_JSON_SINGLE_QUOTES) != 0;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    for (int i = 0; i < 4; i++) {
        if (parser->at == parser->end || !is_hex(*parser->at++))
            return false;
    }
    return true;
}

/* At the opening quote: past the closing one. */
static bool scan_string(struct parser *parser, uint32_t *start, uint32_t *size, bool *escaped)
{
    char quote = *parser->at++;
    const char *from = parser->at;
    *escaped = false;
    for (; parser->at < parser->end; parser->at++) {
        char c = *parser->at;
        if (c == quote) {
            *start = (uint32_t)(from - parser->start);
            *size = (uint32_t)(parser->at++ - from);
            return true;
        }
        if (c == '\\') {
            *escaped = true;
            parser->at++;
            if (!scan_escape(parser))
                return false;
            parser->at--;
        } else if ((unsigned char)c < 0x20 && !(parser->rules & MR_JSON_CONTROLS)) {
            return false;
        }
    }
    return false;
}

static bool at_quote(const struct parser *parser)
{
    return parser->at < parser->end &&
           (*parser->at == '"' || (*parser->at == '\'' && (parser->rules & MR_JSON_SINGLE_QUOTES)));
}

static bool scan_digits(struct parser *parser)
{
    const char *from = parser->at;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
        parser->at++;
    return parser->at > from;
}

static bool scan_word(struct parser *parser, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(parser->end - parser->at) < size || memcmp(parser->at, word, size) != 0)
        return false;
    parser->at += size;
    return true;
}

/* What may follow a number or a word. */
static bool at_boundary(const struct parser *parser)
{
    return parser->at == parser->end || strchr(" \n\t\r,]}", *parser->at) != NULL;
}

static bool parse_number(struct parser *parser)
{
    const char *from = parser->at;
    struct mr_json_node *node = new_node(parser, MR_JSON_INTEGER);
    if (node == NULL)
        return false;
    bool fraction = false, good;
    if (parser->at < parser->end && *parser->at == '-')
        parser->at++;
    if (parser->at < parser->end && *parser->at == '0') {
        parser->at++;
        good = true;
    } else {
        good = scan_digits(parser);
    }
    if (good && parser->at < parser->end && *parser->at == '.') {
        parser->at++;
        fraction = true;
        good = scan_digits(parser);
    }
    if (good && parser->at < parser->end && (*parser->at | 32) == 'e') {
        parser->at++;
        if (parser->at < parser->end && (*parser->at == '+' || *parser->at == '-'))
            parser->at++;
        fraction = true;
        good = scan_digits(parser);
    }
    node->kind = fraction ? MR_JSON_NUMBER : MR_JSON_INTEGER;
    node->size = (uint32_t)(parser->at - from);
    return good && at_boundary(parser);
}

static bool parse_word(struct parser *parser)
{
    static const struct {
        const char *word;
        enum mr_json_kind kind;
        unsigned rule;
    } words[] = {
        {"null", MR_JSON_NULL, 0},
        {"true", MR_JSON_TRUE, 0},
        {"false", MR_JSON_FALSE, 0},
        {"NaN", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"Infinity", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"-Infinity", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"+Infinity", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"INF", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"+INF", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
        {"-INF", MR_JSON_NUMBER, MR_JSON_NON_NUMERIC},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const char *from = parser->at;
        if ((words[i].rule & ~parser->rules) || !scan_word(parser, words[i].word))
            continue;
        if (!at_boundary(parser))
            return false;
        const char *behind = parser->at;
        parser->at = from;
        struct mr_json_node *node = new_node(parser, words[i].kind);
        parser->at = behind;
        if (node != NULL)
            node->size = (uint32_t)(behind - from);
        return node != NULL;
    }
    return false;
}

/* A value that is no array or object. */
static bool parse_scalar(struct parser *parser)
{
    char c = *parser->at;
    if (at_quote(parser)) {
        struct mr_json_node *node = new_node(parser, MR_JSON_STRING);
        return node != NULL && scan_string(parser, &node->start, &node->size, &node->escaped);
    }
    if (c >= '0' && c <= '9')
        return parse_number(parser);
    if (c == '-' && parser->at + 1 < parser->end && parser->at[1] >= '0' && parser->at[1] <= '9')
        return parse_number(parser);
    return parse_word(parser);
}

#define NOWHERE UINT32_MAX

static bool parse_key(struct parser *parser, uint32_t *start, uint32_t *size, bool *escaped)
{
    if (!at_quote(parser) || !scan_string(parser, start, size, escaped))
        return false;
    skip_blanks(parser);
    if (parser->at == parser->end || *parser->at != ':')
        return false;
    parser->at++;
    skip_blanks(parser);
    return parser->at < parser->end;
}

/* At the first character of a member or element of `around`: reads its key and opens or reads its value. */
static bool parse_value(struct parser *parser, uint32_t *around)
{
    struct mr_json_tree *tree = parser->tree;
    uint32_t start = 0, size = 0, index = tree->count;
    bool escaped = false;
    if (*around != NOWHERE) {
        tree->nodes[*around].count++;
        if (tree->nodes[*around].kind == MR_JSON_OBJECT &&
            !parse_key(parser, &start, &size, &escaped))
            return false;
    }
    if (parser->at == parser->end)
        return false;
    bool object = *parser->at == '{', open = object || *parser->at == '[';
    if (open) {
        if (parser->depth++ == MR_JSON_MAX_DEPTH ||
            new_node(parser, object ? MR_JSON_OBJECT : MR_JSON_ARRAY) == NULL)
            return false;
        parser->at++;
    } else if (!parse_scalar(parser)) {
        return false;
    }
    struct mr_json_node *node = &tree->nodes[index];
    node->key_start = start;
    node->key_size = size;
    node->key_escaped = escaped;
    if (open) {
        node->next = *around;
        *around = index;
    }
    return true;
}

/* Closes what the next character closes; *more: another member follows in `around`. */
static bool parse_end(struct parser *parser, uint32_t *around, bool *more)
{
    struct mr_json_tree *tree = parser->tree;
    *more = false;
    while (*around != NOWHERE && !*more) {
        struct mr_json_node *node = &tree->nodes[*around];
        skip_blanks(parser);
        if (parser->at == parser->end)
            return false;
        char c = *parser->at++;
        if (c == (node->kind == MR_JSON_OBJECT ? '}' : ']')) {
            uint32_t outer = node->next;
            node->next = tree->count;
            node->size = (uint32_t)(parser->at - parser->start) - node->start;
            *around = outer;
            parser->depth--;
            continue;
        }
        if (node->count > 0) {
            if (c != ',')
                return false;
            skip_blanks(parser);
            if (parser->at == parser->end)
                return false;
        } else {
            parser->at--;
        }
        *more = true;
    }
    return true;
}

bool mr_json_tree_parse(struct mr_json_tree *tree, struct mr_slice text, unsigned rules)
{
    struct parser parser = {.tree = tree,
                            .start = text.data,
                            .at = text.data,
                            .end = text.data + text.size,
                            .rules = rules};
    uint32_t around = NOWHERE;
    bool more = true;
    tree->text = text.data;
    tree->count = 0;
    tree->nomem = false;
    if (text.size == 0 || text.size >= UINT32_MAX)
        return false;
    skip_blanks(&parser);
    while (more) {
        if (!parse_value(&parser, &around) || !parse_end(&parser, &around, &more))
            return false;
    }
    if (rules & MR_JSON_TRAILING)
        return true;
    skip_blanks(&parser);
    return parser.at == parser.end;
}

static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 32) - 'a' + 10);
    return value;
}

/* \uXXXX at `at`, with the one that completes a pair; returns the characters read. */
static size_t unescape_unit(const char *at, size_t left, struct mr_bytes *out)
{
    uint32_t point = hex4(at + 2);
    size_t used = 6;
    if (point >= 0xD800 && point < 0xDC00 && left >= 12 && at[6] == '\\' && at[7] == 'u') {
        uint32_t low = hex4(at + 8);
        if (low >= 0xDC00 && low < 0xE000) {
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
            used = 12;
        }
    }
    char text[4] = "?";
    int size = point >= 0xD800 && point < 0xE000 ? 1 : mr_utf8_encode(point, text);
    mr_bytes_append(out, text, (size_t)size);
    return used;
}

void mr_json_unescape(struct mr_slice raw, struct mr_bytes *out)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    size_t run = 0;
    for (size_t i = 0; i < raw.size;) {
        if (raw.data[i] != '\\') {
            i++;
            continue;
        }
        mr_bytes_append(out, raw.data + run, i - run);
        const char *letter = strchr(letters, raw.data[i + 1]);
        if (raw.data[i + 1] == 'u') {
            i += unescape_unit(raw.data + i, raw.size - i, out);
        } else {
            mr_bytes_char(out, letter ? values[letter - letters] : raw.data[i + 1]);
            i += 2;
        }
        run = i;
    }
    if (raw.size > run)
        mr_bytes_append(out, raw.data + run, raw.size - run);
}

static struct mr_slice resolved(struct mr_slice raw, bool escaped, struct mr_bytes *scratch)
{
    if (!escaped)
        return raw;
    if (scratch->status == MR_OK) {
        mr_bytes_clear(scratch);
        mr_json_unescape(raw, scratch);
    }
    if (scratch->status != MR_OK)
        return (struct mr_slice){"", 0};
    return (struct mr_slice){scratch->data ? scratch->data : "", scratch->size};
}

struct mr_slice mr_json_string(const struct mr_json_tree *tree, uint32_t node,
                               struct mr_bytes *scratch)
{
    return resolved(mr_json_raw(tree, node), tree->nodes[node].escaped, scratch);
}

struct mr_slice mr_json_key(const struct mr_json_tree *tree, uint32_t node,
                            struct mr_bytes *scratch)
{
    return resolved(mr_json_raw_key(tree, node), tree->nodes[node].key_escaped, scratch);
}

/* Bytes in front of a node, by the kind of what it is in. */
static void write_lead(const struct mr_json_tree *tree, uint32_t node, bool member, bool first,
                       struct mr_bytes *out)
{
    if (!first)
        mr_bytes_char(out, ',');
    if (!member)
        return;
    struct mr_slice key = mr_json_raw_key(tree, node);
    mr_bytes_char(out, '"');
    mr_bytes_append(out, key.data, key.size);
    mr_bytes_append(out, "\":", 2);
}

void mr_json_write_verbatim(const struct mr_json_tree *tree, uint32_t node, struct mr_bytes *out)
{
    const struct mr_json_node *at = &tree->nodes[node];
    struct mr_slice raw = mr_json_raw(tree, node);
    bool object = at->kind == MR_JSON_OBJECT;
    switch (at->kind) {
    case MR_JSON_STRING:
        mr_bytes_char(out, '"');
        mr_bytes_append(out, raw.data, raw.size);
        mr_bytes_char(out, '"');
        return;
    case MR_JSON_ARRAY:
    case MR_JSON_OBJECT:
        mr_bytes_char(out, object ? '{' : '[');
        for (uint32_t child = node + 1; child < at->next; child = tree->nodes[child].next) {
            write_lead(tree, child, object, child == node + 1, out);
            mr_json_write_verbatim(tree, child, out);
        }
        mr_bytes_char(out, object ? '}' : ']');
        return;
    default:
        mr_bytes_append(out, raw.data, raw.size);
    }
}
