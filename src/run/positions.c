/*
 * positions.c - "MRP2", a count, then of each step: key, method, text, bytes; each with a varint length in front; CRC-32.
 *
 * The watermark of the run is an entry without a key.
 *
 * The record that holds it has a CRC of its own, but sinks that remember epochs keep the same string, so a state that was lost can go
 * on from what the target says (--adopt).
 */
#include "run/positions.h"

static const char positions_magic[4] = {'M', 'R', 'P', '2'};

static void encode_one(const struct mr_source_position *item, struct mr_bytes *out)
{
    mr_bytes_lenpref_text(out, item->step);
    mr_bytes_lenpref_text(out, item->method);
    mr_bytes_lenpref_text(out, item->text);
    mr_bytes_lenpref(out, item->bytes.data, item->bytes.size);
}

void mr_positions_encode(const struct mr_source_position *items, int count, const char *watermark,
                         struct mr_bytes *out)
{
    struct mr_source_position run = {.step = "", .method = "", .text = watermark};
    int all = count + (watermark != NULL);
    if (all == 0)
        return;
    size_t start = out->size;
    mr_bytes_append(out, positions_magic, sizeof positions_magic);
    mr_bytes_varint(out, (uint64_t)all);
    for (int i = 0; i < count; i++)
        encode_one(&items[i], out);
    if (watermark != NULL)
        encode_one(&run, out);
    mr_bytes_seal(out, start);
}

const char *mr_positions_watermark(const struct mr_positions *positions)
{
    for (int i = 0; i < positions->count; i++)
        if (positions->items[i].step[0] == '\0')
            return positions->items[i].text;
    return NULL;
}

static enum mr_status damaged(struct mr_error *err)
{
    mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "the stored positions are damaged");
    mr_error_hint(err, "run with --fresh to read everything again");
    return MR_INTERNAL;
}

enum mr_status mr_positions_decode(struct mr_slice bytes, struct mr_arena *arena,
                                   struct mr_positions *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    *out = (struct mr_positions){.count = 0};
    if (bytes.size == 0)
        return MR_OK;
    if (!mr_byte_reader_unseal(&reader, bytes) ||
        !mr_byte_reader_expect(&reader, positions_magic, sizeof positions_magic))
        return damaged(err);
    uint64_t count = mr_byte_reader_varint(&reader);
    if (reader.bad || count > bytes.size)
        return damaged(err);
    out->items = mr_arena_calloc(arena, count + 1, sizeof *out->items);
    for (uint64_t i = 0; out->items && i < count; i++) {
        struct mr_source_position *item = &out->items[i];
        item->step = mr_byte_reader_lenpref_text(&reader, arena);
        item->method = mr_byte_reader_lenpref_text(&reader, arena);
        item->text = mr_byte_reader_lenpref_text(&reader, arena);
        struct mr_slice own = mr_byte_reader_lenpref(&reader);
        item->bytes.data = mr_arena_strndup(arena, own.data, own.size);
        item->bytes.size = own.size;
        if (!item->step || !item->method || !item->text || !item->bytes.data)
            return mr_error_nomem(err);
    }
    if (!out->items)
        return mr_error_nomem(err);
    if (!mr_byte_reader_done(&reader))
        return damaged(err);
    out->count = (int)count;
    return MR_OK;
}
