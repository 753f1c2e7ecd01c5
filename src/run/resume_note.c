/*
 * resume_note.c - a sealed part as bytes.
 *
 *   "MRS1" basis u64 run_id segment first end rows bytes sinks { present u8, committable, content }
 *          nodes { counters { number, sum }, rows failed, rules { count } }
 *
 * Texts and byte strings have a varint length in front, numbers are varints. The state adds a CRC; lengths and numbers are checked all
 * the same, since the bytes may be another version's.
 */
#include "run/resume.h"

static const char magic[4] = {'M', 'R', 'S', '1'};

static void put_tally(const struct mr_tally *tally, struct mr_bytes *out)
{
    uint64_t count = 0;
    for (int c = 0; c < MR_COUNTERS; c++)
        count += atomic_load(&tally->counters.value[c]) > 0;
    mr_bytes_varint(out, count);
    for (int c = 0; c < MR_COUNTERS; c++) {
        int64_t value = atomic_load(&tally->counters.value[c]);
        if (value <= 0)
            continue;
        mr_bytes_varint(out, (uint64_t)c);
        mr_bytes_varint(out, (uint64_t)value);
    }
    mr_bytes_varint(out, (uint64_t)atomic_load(&tally->rows_failed));
    mr_bytes_varint(out, (uint64_t)tally->nrules);
    for (int rule = 0; rule < tally->nrules; rule++)
        mr_bytes_varint(out, (uint64_t)atomic_load(&tally->rules[rule]));
}

void mr_resume_note_write(const struct mr_plan *plan, const struct mr_exec_part *part,
                          uint64_t basis, const char *run_id, struct mr_bytes *out)
{
    mr_bytes_append(out, magic, sizeof magic);
    mr_bytes_u64le(out, basis);
    mr_bytes_lenpref_text(out, run_id);
    mr_bytes_varint(out, (uint64_t)part->segment);
    mr_bytes_varint(out, (uint64_t)part->first_split);
    mr_bytes_varint(out, (uint64_t)part->end_split);
    mr_bytes_varint(out, (uint64_t)part->rows);
    mr_bytes_varint(out, (uint64_t)part->bytes);
    mr_bytes_varint(out, (uint64_t)plan->nsinks);
    for (int i = 0; i < plan->nsinks; i++) {
        struct mr_slice staged = part->committables[i];
        mr_bytes_u8(out, staged.data != NULL);
        if (!staged.data)
            continue;
        mr_bytes_lenpref(out, staged.data, staged.size);
        mr_bytes_lenpref(out, part->contents[i].data, part->contents[i].size);
    }
    mr_bytes_varint(out, (uint64_t)plan->nnodes);
    for (int i = 0; i < plan->nnodes; i++)
        put_tally(&part->tallies[i], out);
}

static int get_int(struct mr_byte_reader *reader, int64_t below)
{
    uint64_t value = mr_byte_reader_varint(reader);
    if (value >= (uint64_t)below)
        reader->bad = true;
    return reader->bad ? 0 : (int)value;
}

static int64_t get_size(struct mr_byte_reader *reader)
{
    uint64_t value = mr_byte_reader_varint(reader);
    if (value > INT64_MAX)
        reader->bad = true;
    return reader->bad ? 0 : (int64_t)value;
}

static void get_tally(struct mr_byte_reader *reader, const struct mr_op_counts *counts,
                      struct mr_arena *arena, struct mr_tally *out)
{
    int count = get_int(reader, MR_COUNTERS + 1);
    for (int i = 0; i < count && !reader->bad; i++) {
        int counter = get_int(reader, MR_COUNTERS);
        atomic_store(&out->counters.value[counter], get_size(reader));
    }
    atomic_store(&out->rows_failed, get_size(reader));
    out->nrules = get_int(reader, INT32_MAX);
    if (out->nrules != (counts ? counts->count : 0))
        reader->bad = true;
    if (reader->bad)
        return;
    out->rules = mr_arena_calloc(arena, (size_t)out->nrules + 1, sizeof *out->rules);
    for (int rule = 0; rule < out->nrules && out->rules; rule++)
        atomic_store(&out->rules[rule], get_size(reader));
    if (!out->rules)
        reader->bad = true;
}

/* Do the splits lie in one task of a segment that is sealed? */
static bool fits(const struct mr_plan *plan, const struct mr_exec_part *part)
{
    if (part->segment >= plan->nsegments || part->first_split >= part->end_split)
        return false;
    const struct mr_plan_segment *segment = &plan->segments[part->segment];
    for (int t = 0; t < segment->ntasks; t++)
        if (part->first_split >= segment->task_splits[t] &&
            part->end_split <= segment->task_splits[t + 1])
            return true;
    return false;
}

bool mr_resume_note_read(const struct mr_plan *plan, struct mr_slice bytes, uint64_t basis,
                         struct mr_arena *arena, struct mr_resume_part *out)
{
    struct mr_byte_reader reader;
    struct mr_exec_part *part = &out->part;
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0)
        return false;
    mr_byte_reader_init(&reader, bytes.data + sizeof magic, bytes.size - sizeof magic);
    if (mr_byte_reader_u64le(&reader) != basis)
        return false;
    out->run_id = mr_byte_reader_lenpref_text(&reader, arena);
    part->segment = get_int(&reader, INT32_MAX);
    part->first_split = get_int(&reader, INT32_MAX);
    part->end_split = get_int(&reader, INT32_MAX);
    part->rows = get_size(&reader);
    part->bytes = get_size(&reader);
    if (get_int(&reader, INT32_MAX) != plan->nsinks || reader.bad || !fits(plan, part))
        return false;
    struct mr_slice *staged = mr_arena_calloc(arena, (size_t)plan->nsinks + 1, sizeof *staged);
    struct mr_slice *contents = mr_arena_calloc(arena, (size_t)plan->nsinks + 1, sizeof *contents);
    part->tallies = mr_arena_calloc(arena, (size_t)plan->nnodes + 1, sizeof *part->tallies);
    if (!staged || !contents || !part->tallies || !out->run_id)
        return false;
    part->committables = staged;
    part->contents = contents;
    for (int i = 0; i < plan->nsinks && !reader.bad; i++) {
        if (!mr_byte_reader_u8(&reader))
            continue;
        staged[i] = mr_byte_reader_lenpref(&reader);
        if (!staged[i].data)
            staged[i].data = "";
        contents[i] = mr_byte_reader_lenpref(&reader);
        if (contents[i].size == 0)
            contents[i].data = NULL;
    }
    if (get_int(&reader, INT32_MAX) != plan->nnodes)
        return false;
    for (int i = 0; i < plan->nnodes && !reader.bad; i++)
        get_tally(&reader, plan->nodes[i].kind == MR_PLAN_OP ? plan->nodes[i].op_info.counts : NULL,
                  arena, &part->tallies[i]);
    return mr_byte_reader_done(&reader);
}
