/*
 * positions.c - places in topics as bytes and as text.
 *
 * 01 | cluster id with its length | varint count | each: topic with its length, varint partition, varint offset. For example, offset 17 of
 * partition 0 of "t" in the cluster "c": 01 01 'c' 01 01 't' 00 11. The cluster is in it because another one has other records under the
 * same names; a topic that was deleted and made again in the same cluster cannot be told apart by the protocol that librdkafka 2.0 speaks (no
 * topic ids), but for ending in front of the place.
 */
#include "connect/kafka/offsets.h"

#include "base/text.h"
#include "enc/json_tree.h"

#include <stdio.h>
#include <stdlib.h>

#define VERSION 1

static int by_place(const void *a, const void *b)
{
    const struct kafka_mark *left = a, *right = b;
    int order = strcmp(left->topic, right->topic);
    return order != 0 ? order
                      : (left->partition > right->partition) - (left->partition < right->partition);
}

enum mr_status kafka_marks_write(const struct kafka_marks *marks, struct mr_arena *arena,
                                 struct mr_slice *out, struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_u8(&bytes, VERSION);
    mr_bytes_lenpref(&bytes, marks->cluster, strlen(marks->cluster));
    mr_bytes_varint(&bytes, (uint64_t)marks->count);
    for (int i = 0; i < marks->count; i++) {
        const struct kafka_mark *mark = &marks->items[i];
        mr_bytes_lenpref(&bytes, mark->topic, strlen(mark->topic));
        mr_bytes_varint(&bytes, (uint64_t)mark->partition);
        mr_bytes_varint(&bytes, (uint64_t)mark->offset);
    }
    enum mr_status status = mr_bytes_status(&bytes, err);
    if (status == MR_OK) {
        out->data = mr_arena_strndup(arena, bytes.data, bytes.size);
        out->size = bytes.size;
        if (out->data == NULL)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&bytes);
    return status;
}

static const char *read_text(struct mr_byte_reader *reader, struct mr_arena *arena, bool *nomem)
{
    struct mr_slice text = mr_byte_reader_lenpref(reader);
    const char *copy = mr_arena_strndup(arena, text.size ? text.data : "", text.size);
    *nomem = *nomem || copy == NULL;
    return copy;
}

bool kafka_marks_read(struct mr_slice bytes, struct mr_arena *arena, struct kafka_marks *out,
                      struct mr_error *err)
{
    struct mr_byte_reader reader;
    bool nomem = false;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    out->cluster = read_text(&reader, arena, &nomem);
    uint64_t count = mr_byte_reader_varint(&reader);
    if (reader.bad || version != VERSION || count > bytes.size)
        return false;
    out->items = mr_arena_calloc(arena, (size_t)count + 1, sizeof *out->items);
    nomem = nomem || out->items == NULL;
    out->count = (int)count;
    for (uint64_t i = 0; i < count && !nomem; i++) {
        const char *topic = read_text(&reader, arena, &nomem);
        uint64_t partition = mr_byte_reader_varint(&reader);
        uint64_t offset = mr_byte_reader_varint(&reader);
        if (reader.bad || partition > INT32_MAX || offset > INT64_MAX)
            return false;
        out->items[i] = (struct kafka_mark){topic, (int32_t)partition, (int64_t)offset};
        if (i > 0 && !nomem && by_place(&out->items[i - 1], &out->items[i]) >= 0)
            return false;
    }
    if (nomem)
        mr_error_nomem(err);
    return !nomem && reader.at == reader.end;
}

const char *kafka_marks_text(const struct kafka_marks *marks, struct mr_arena *arena)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    for (int i = 0; i < marks->count; i++) {
        const struct kafka_mark *mark = &marks->items[i];
        bool same = i > 0 && strcmp(mark->topic, marks->items[i - 1].topic) == 0;
        mr_bytes_text(&text, i == 0 ? "{" : same ? "," : "},");
        if (!same) {
            mr_bytes_json_string(&text, mark->topic, strlen(mark->topic));
            mr_bytes_text(&text, ":{");
        }
        mr_bytes_printf(&text, "\"%d\":%lld", (int)mark->partition, (long long)mark->offset);
    }
    mr_bytes_text(&text, marks->count > 0 ? "}}" : "{}");
    const char *copy =
        mr_bytes_status(&text, NULL) == MR_OK ? mr_arena_strdup(arena, text.data) : NULL;
    mr_bytes_reset(&text);
    return copy;
}

struct parsing {
    struct mr_json_tree tree;
    struct mr_arena *arena;
    struct mr_bytes scratch;
    char *why;
    size_t room;
    bool nomem;
};

static bool refuse(struct parsing *parsing, const char *why)
{
    snprintf(parsing->why, parsing->room, "%s", why);
    return false;
}

static bool parse_partition(struct parsing *parsing, const char *topic, uint32_t node,
                            struct kafka_mark *mark)
{
    int64_t partition, offset;
    struct mr_slice key = mr_json_raw_key(&parsing->tree, node);
    if (!mr_text_to_int64(key, false, &partition) || partition < 0 || partition > INT32_MAX)
        return refuse(parsing, "the key of a partition is not its number");
    if (parsing->tree.nodes[node].kind != MR_JSON_INTEGER ||
        !mr_text_to_int64(mr_json_raw(&parsing->tree, node), false, &offset) || offset < -2)
        return refuse(parsing, "an offset is a whole number, -2 (earliest) or -1 (latest)");
    *mark = (struct kafka_mark){topic, (int32_t)partition, offset};
    return true;
}

static bool parse_topic(struct parsing *parsing, uint32_t node, struct kafka_marks *out)
{
    const struct mr_json_node *at = &parsing->tree.nodes[node];
    if (at->kind != MR_JSON_OBJECT)
        return refuse(parsing, "a topic has an object of partitions and offsets");
    struct mr_slice name = mr_json_key(&parsing->tree, node, &parsing->scratch);
    const char *topic = mr_arena_strndup(parsing->arena, name.data, name.size);
    parsing->nomem = parsing->nomem || topic == NULL;
    for (uint32_t child = node + 1; child < at->next && !parsing->nomem;
         child = parsing->tree.nodes[child].next)
        if (!parse_partition(parsing, topic, child, &out->items[out->count++]))
            return false;
    return true;
}

static bool parse(struct parsing *parsing, struct kafka_marks *out)
{
    if (parsing->tree.count == 0 || parsing->tree.nodes[0].kind != MR_JSON_OBJECT)
        return refuse(parsing, "it is no object of topics");
    out->items = mr_arena_calloc(parsing->arena, parsing->tree.count, sizeof *out->items);
    parsing->nomem = out->items == NULL;
    for (uint32_t node = 1; node < parsing->tree.nodes[0].next && !parsing->nomem;
         node = parsing->tree.nodes[node].next)
        if (!parse_topic(parsing, node, out))
            return false;
    if (!parsing->nomem && out->count > 1)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_place);
    for (int i = 1; i < out->count && !parsing->nomem; i++)
        if (by_place(&out->items[i - 1], &out->items[i]) == 0)
            return refuse(parsing, "a partition is named twice");
    return !parsing->nomem;
}

bool kafka_marks_parse(struct mr_slice json, struct mr_arena *arena, struct kafka_marks *out,
                       char *why, size_t room, struct mr_error *err)
{
    struct parsing parsing = {.arena = arena, .why = why, .room = room};
    *out = (struct kafka_marks){.cluster = ""};
    mr_json_tree_init(&parsing.tree);
    mr_bytes_init(&parsing.scratch, 1 << 16);
    bool good = mr_json_tree_parse(&parsing.tree, json, 0);
    if (good)
        good = parse(&parsing, out);
    else if (!parsing.tree.nomem)
        refuse(&parsing, "it is not JSON");
    if (parsing.nomem || parsing.tree.nomem)
        mr_error_nomem(err);
    mr_json_tree_reset(&parsing.tree);
    mr_bytes_reset(&parsing.scratch);
    return good;
}

const struct kafka_mark *kafka_marks_find(const struct kafka_marks *marks, const char *topic,
                                          int32_t partition)
{
    struct kafka_mark key = {.topic = topic, .partition = partition};
    return marks->count > 0
               ? bsearch(&key, marks->items, (size_t)marks->count, sizeof key, by_place)
               : NULL;
}
