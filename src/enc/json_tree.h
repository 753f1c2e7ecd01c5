/*
 * json_tree.h - a JSON text as an array of nodes in the order of the text, for functions that look into documents.
 *
 * A node's texts are places in the text that was parsed, so a tree costs one allocation that is used again for the next
 * document, and nothing is decoded that nobody asks for.
 */
#ifndef MR_ENC_JSON_TREE_H
#define MR_ENC_JSON_TREE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_json_kind {
    MR_JSON_NULL,
    MR_JSON_FALSE,
    MR_JSON_TRUE,
    MR_JSON_INTEGER, /* a number without point and exponent */
    MR_JSON_NUMBER,  /* NaN and Infinity too, where the rules allow them */
    MR_JSON_STRING,
    MR_JSON_ARRAY,
    MR_JSON_OBJECT,
};

struct mr_json_node {
    uint8_t kind;
    bool escaped; /* a string with escapes: mr_json_unescape */
    bool key_escaped;
    uint32_t next;  /* index of the node behind this one and everything in it */
    uint32_t count; /* ARRAY, OBJECT: children */
    uint32_t
        start; /* of the text of a number, of a string without its quotes, of a whole array or object */
    uint32_t size;
    uint32_t key_start; /* in an object: the key without its quotes */
    uint32_t key_size;
};

/* What is read beyond RFC 8259. */
enum mr_json_rule {
    MR_JSON_SINGLE_QUOTES = 1,
    MR_JSON_CONTROLS = 2,    /* control characters in strings as they are */
    MR_JSON_NON_NUMERIC = 4, /* NaN, Infinity, +INF, -INF, -Infinity */
    MR_JSON_TRAILING = 8,    /* whatever follows the first value is not looked at */
};

#define MR_JSON_MAX_DEPTH 1000

struct mr_json_tree {
    const char *text; /* borrowed */
    struct mr_json_node *nodes;
    uint32_t count; /* 0: the text was blank */
    uint32_t capacity;
    bool nomem;
};

void mr_json_tree_init(struct mr_json_tree *tree);
void mr_json_tree_reset(struct mr_json_tree *tree);
/*
 * False: not JSON, or nested deeper than MR_JSON_MAX_DEPTH, or `nomem`. The text must outlive the use of the tree. It is UTF-8
 * (not checked here) of less than 4 GiB.
 */
bool mr_json_tree_parse(struct mr_json_tree *tree, struct mr_slice text, unsigned rules);
/* The text of a string or number as written, and of the key. */
static inline struct mr_slice mr_json_raw(const struct mr_json_tree *tree, uint32_t node)
{
    const struct mr_json_node *at = &tree->nodes[node];
    return (struct mr_slice){tree->text + at->start, at->size};
}
static inline struct mr_slice mr_json_raw_key(const struct mr_json_tree *tree, uint32_t node)
{
    const struct mr_json_node *at = &tree->nodes[node];
    return (struct mr_slice){tree->text + at->key_start, at->key_size};
}
/* Appends a string's value: escapes resolved; half of a surrogate pair becomes '?'. */
void mr_json_unescape(struct mr_slice raw, struct mr_bytes *out);
/*
 * The value of a string (or number: its text), the key of a member; `scratch` holds it where it has escapes. Where that fails
 * (memory, its maximum) the text is empty, and so are all later ones that have escapes: the status of `scratch` stays.
 */
struct mr_slice mr_json_string(const struct mr_json_tree *tree, uint32_t node,
                               struct mr_bytes *scratch);
struct mr_slice mr_json_key(const struct mr_json_tree *tree, uint32_t node,
                            struct mr_bytes *scratch);
/* Appends the value in compact form; numbers and escapes as written. */
void mr_json_write_verbatim(const struct mr_json_tree *tree, uint32_t node, struct mr_bytes *out);

#endif
