/*
 * stage_note.c - "MRK1", fingerprint, hash of the parameters, run, hash of where reading began, whether a
 * source has a clock, rows, covers, positions (run/positions.h; their watermark is the safe time), description of the frame.
 *
 * The state adds a checksum over kind, epoch, name and these bytes.
 */
#include "run/stage_note.h"

#include "run/positions.h"

static const char note_magic[4] = {'M', 'R', 'K', '1'};

void mr_stage_note_encode(const struct mr_stage_note *note, struct mr_bytes *out)
{
    const struct mr_plan_restorable *frame = &note->frame;
    struct mr_bytes positions;
    mr_bytes_append(out, note_magic, sizeof note_magic);
    mr_bytes_lenpref_text(out, frame->fingerprint);
    mr_bytes_lenpref_text(out, note->parameters_hash);
    mr_bytes_lenpref_text(out, frame->run_id);
    mr_bytes_u64le(out, note->since);
    mr_bytes_u8(out, frame->has_clock);
    mr_bytes_varint(out, (uint64_t)frame->rows);
    mr_bytes_varint(out, (uint64_t)frame->ncovers);
    for (int i = 0; i < frame->ncovers; i++) {
        mr_bytes_lenpref_text(out, frame->covers[i].step);
        mr_bytes_lenpref_text(out, frame->covers[i].reading);
    }
    mr_bytes_init(&positions, (size_t)1 << 29);
    mr_positions_encode(frame->positions, frame->npositions, frame->safe_time, &positions);
    mr_bytes_lenpref(out, positions.data, positions.size);
    if (positions.status != MR_OK && out->status == MR_OK)
        out->status = positions.status;
    mr_bytes_reset(&positions);
    mr_bytes_lenpref(out, frame->frame.data, frame->frame.size);
}

static enum mr_status get_covers(struct mr_byte_reader *reader, struct mr_arena *arena,
                                 struct mr_plan_restorable *out, struct mr_error *err)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (reader->bad || count > (size_t)(reader->end - reader->at) / 2) {
        reader->bad = true;
        return MR_OK;
    }
    struct mr_plan_cover *covers = mr_arena_calloc(arena, count + 1, sizeof *covers);
    if (covers == NULL)
        return mr_error_nomem(err);
    for (uint64_t i = 0; i < count; i++) {
        covers[i].step = mr_byte_reader_lenpref_text(reader, arena);
        covers[i].reading = mr_byte_reader_lenpref_text(reader, arena);
        if (covers[i].step == NULL || covers[i].reading == NULL)
            return mr_error_nomem(err);
    }
    out->covers = covers;
    out->ncovers = (int)count;
    return MR_OK;
}

/* Watermark and positions apart: the one is the run's, the others are the steps'. */
static enum mr_status get_positions(struct mr_slice bytes, struct mr_arena *arena,
                                    struct mr_plan_restorable *out, struct mr_error *err)
{
    struct mr_positions all;
    MR_TRY(mr_positions_decode(bytes, arena, &all, err));
    struct mr_source_position *own = mr_arena_calloc(arena, (size_t)all.count + 1, sizeof *own);
    if (own == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < all.count; i++)
        if (all.items[i].step[0] != '\0')
            own[out->npositions++] = all.items[i];
    out->positions = own;
    out->safe_time = mr_positions_watermark(&all);
    return MR_OK;
}

static enum mr_status damaged(struct mr_error *err)
{
    mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "the note of a checkpoint is damaged");
    mr_error_hint(err, "--fresh discards it and reads everything again");
    return MR_INTERNAL;
}

enum mr_status mr_stage_note_decode(struct mr_slice bytes, struct mr_arena *arena,
                                    struct mr_stage_note *out, struct mr_error *err)
{
    struct mr_plan_restorable *frame = &out->frame;
    struct mr_byte_reader reader;
    size_t magic = sizeof note_magic;
    *out = (struct mr_stage_note){.since = 0};
    if (bytes.size < magic || memcmp(bytes.data, note_magic, magic) != 0)
        return damaged(err);
    mr_byte_reader_init(&reader, bytes.data + magic, bytes.size - magic);
    frame->fingerprint = mr_byte_reader_lenpref_text(&reader, arena);
    out->parameters_hash = mr_byte_reader_lenpref_text(&reader, arena);
    frame->run_id = mr_byte_reader_lenpref_text(&reader, arena);
    out->since = mr_byte_reader_u64le(&reader);
    frame->has_clock = mr_byte_reader_u8(&reader) != 0;
    frame->rows = (int64_t)mr_byte_reader_varint(&reader);
    if (frame->fingerprint == NULL || out->parameters_hash == NULL || frame->run_id == NULL)
        return mr_error_nomem(err);
    MR_TRY(get_covers(&reader, arena, frame, err));
    struct mr_slice positions = mr_byte_reader_lenpref(&reader);
    struct mr_slice described = mr_byte_reader_lenpref(&reader);
    if (reader.bad || reader.at != reader.end || described.size == 0)
        return damaged(err);
    MR_TRY(get_positions(positions, arena, frame, err));
    frame->frame.data = mr_arena_strndup(arena, described.data, described.size);
    frame->frame.size = described.size;
    return frame->frame.data != NULL ? MR_OK : mr_error_nomem(err);
}
