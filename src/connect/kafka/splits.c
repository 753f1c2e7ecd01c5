/*
 * splits.c - ranges of offsets as splits, and splits and positions as versioned byte strings.
 *
 * A split is 01 | flags | topic with its length | varint partition, first offset, end offset; flag 1: read_uncommitted, which decides what
 * records there are and has to be the same in a run that goes on where another stopped. A position is 01 | hash of the split | varint next
 * offset, dead letters delivered from there on, rows delivered of the split.
 *
 * A partition is cut where there are too few for the readers, or minPartitions asks for more. Offsets count records that are gone or not
 * committed too, so pieces of a compacted topic are only roughly equal.
 */
#include "connect/kafka/source.h"

#include "base/hash.h"
#include "base/time.h"

#define VERSION      1
#define UNCOMMITTED  1
#define SPLIT_LEAST  250000 /* offsets; below, another consumer costs more than it saves */
#define SPLITS_A_CPU 4

static const char *partition_name(struct mr_arena *arena, const struct kafka_partition *partition)
{
    return mr_arena_printf(arena, "%s/%d", partition->topic, (int)partition->number);
}

/* Also of partitions without a split: one that has brought nothing yet holds a watermark back. */
static enum mr_status name_origins(const struct kafka_source *source, struct mr_arena *arena,
                                   struct mr_split_list *out, struct mr_error *err)
{
    const struct kafka_partitions *partitions = &source->partitions;
    const char **names = mr_arena_calloc(arena, (size_t)partitions->count + 1, sizeof *names);
    struct mr_origin_place *places =
        mr_arena_calloc(arena, (size_t)partitions->count + 1, sizeof *places);
    if (names == NULL || places == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < partitions->count; i++) {
        const struct kafka_partition *partition = &partitions->items[i];
        names[i] = partition_name(arena, partition);
        if (names[i] == NULL)
            return mr_error_nomem(err);
        places[i] = (struct mr_origin_place){partition->from, partition->end, partition->high};
    }
    out->origins = names;
    out->places = places;
    out->norigins = partitions->count;
    return MR_OK;
}

static enum mr_status write_split(bool uncommitted, const struct kafka_partition *partition,
                                  int64_t from, int64_t end, struct mr_arena *arena,
                                  struct mr_split *out, struct mr_error *err)
{
    struct mr_bytes token;
    mr_bytes_init(&token, 1 << 16);
    mr_bytes_u8(&token, VERSION);
    mr_bytes_u8(&token, uncommitted ? UNCOMMITTED : 0);
    mr_bytes_lenpref(&token, partition->topic, strlen(partition->topic));
    mr_bytes_varint(&token, (uint64_t)partition->number);
    mr_bytes_varint(&token, (uint64_t)from);
    mr_bytes_varint(&token, (uint64_t)end);
    enum mr_status status = mr_bytes_status(&token, err);
    const char *copy = status == MR_OK ? mr_arena_strndup(arena, token.data, token.size) : NULL;
    *out = (struct mr_split){
        .token = {copy, token.size},
        .label = mr_arena_printf(arena, "%s[%d] offsets [%lld, %lld)", partition->topic,
                                 (int)partition->number, (long long)from, (long long)end),
        .origin = partition_name(arena, partition),
        .rows = end - from,
        .bytes = -1,
    };
    mr_bytes_reset(&token);
    if (status == MR_OK && (copy == NULL || out->label == NULL || out->origin == NULL))
        status = mr_error_nomem(err);
    return status;
}

enum mr_status kafka_split_read(struct mr_slice token, struct mr_arena *arena,
                                struct kafka_split *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, token.data, token.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint8_t flags = mr_byte_reader_u8(&reader);
    struct mr_slice topic = mr_byte_reader_lenpref(&reader);
    uint64_t partition = mr_byte_reader_varint(&reader), from = mr_byte_reader_varint(&reader);
    uint64_t end = mr_byte_reader_varint(&reader);
    if (reader.bad || version != VERSION || flags > UNCOMMITTED || reader.at != reader.end ||
        topic.size == 0 || partition > INT32_MAX || end > INT64_MAX || from > end)
        return mr_error_internal(err, "a split of Kafka of an unknown form");
    *out = (struct kafka_split){
        .topic = mr_arena_strndup(arena, topic.data, topic.size),
        .partition = (int32_t)partition,
        .from = (int64_t)from,
        .end = (int64_t)end,
        .uncommitted = flags & UNCOMMITTED,
    };
    return out->topic != NULL ? MR_OK : mr_error_nomem(err);
}

void kafka_position_write(struct mr_slice token, const struct kafka_position *position,
                          struct mr_bytes *out)
{
    mr_bytes_u8(out, VERSION);
    mr_bytes_u64le(out, mr_hash64(token.data, token.size));
    mr_bytes_varint(out, (uint64_t)position->next);
    mr_bytes_varint(out, (uint64_t)position->rejected);
    mr_bytes_varint(out, (uint64_t)position->rows);
}

enum mr_status kafka_position_read(struct mr_slice bytes, struct mr_slice token,
                                   const struct kafka_split *split, struct kafka_position *out,
                                   struct mr_error *err)
{
    *out = (struct kafka_position){.next = split->from};
    if (bytes.size == 0)
        return MR_OK;
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, bytes.data, bytes.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    uint64_t of = mr_byte_reader_u64le(&reader), next = mr_byte_reader_varint(&reader);
    uint64_t rejected = mr_byte_reader_varint(&reader), rows = mr_byte_reader_varint(&reader);
    if (reader.bad || version != VERSION || of != mr_hash64(token.data, token.size) ||
        next < (uint64_t)split->from || next > (uint64_t)split->end || rejected > INT64_MAX ||
        rows > INT64_MAX)
        return mr_error_internal(err, "a position that is not of this split of Kafka");
    *out = (struct kafka_position){(int64_t)next, (int64_t)rejected, (int64_t)rows};
    return MR_OK;
}

/* Into how many pieces a partition is cut: its share of what is wanted. */
static int64_t pieces_of(const struct kafka_partition *partition, int64_t rows, int64_t wanted)
{
    int64_t own = partition->end - partition->from;
    if (own == 0)
        return 0;
    double share = (double)own / (double)rows * (double)wanted;
    int64_t pieces = (int64_t)(share + 0.5);
    pieces = pieces < own ? pieces : own;
    return pieces > 1 ? pieces : 1;
}

static int64_t wanted_pieces(const struct kafka_source *source, const struct mr_runtime *runtime,
                             int64_t rows)
{
    int64_t given = mr_options_integer(source->options, "minPartitions", 0);
    if (given > 0)
        return given;
    if (source->streaming)
        return 0; /* one a partition: each goes on where its feed stands */
    int64_t cpus = runtime->parallelism > 0 ? runtime->parallelism : 1;
    int64_t wanted = SPLITS_A_CPU * cpus;
    return wanted < rows / SPLIT_LEAST ? wanted : rows / SPLIT_LEAST;
}

static enum mr_status cut(const struct kafka_source *source, struct mr_runtime *runtime,
                          struct mr_arena *arena, struct mr_split_list *out, struct mr_error *err)
{
    const struct kafka_partitions *partitions = &source->partitions;
    int64_t rows = kafka_ranges_rows(partitions), room = 0;
    int64_t wanted = rows > 0 ? wanted_pieces(source, runtime, rows) : 0;
    for (int i = 0; i < partitions->count && rows > 0; i++)
        room += pieces_of(&partitions->items[i], rows, wanted);
    bool uncommitted = kafka_is_uncommitted(&source->settings);
    out->items = mr_arena_calloc(arena, (size_t)room + 1, sizeof *out->items);
    if (out->items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < partitions->count && rows > 0; i++) {
        const struct kafka_partition *partition = &partitions->items[i];
        int64_t pieces = pieces_of(partition, rows, wanted), from = partition->from;
        int64_t own = partition->end - partition->from;
        for (int64_t k = 1; k <= pieces; k++) {
            int64_t end = k == pieces
                              ? partition->end
                              : partition->from + own / pieces * k + own % pieces * k / pieces;
            struct mr_split *split = &out->items[out->count++];
            MR_TRY(write_split(uncommitted, partition, from, end, arena, split, err));
            if (source->limit >= 0 && split->rows > source->limit)
                split->rows = source->limit;
            from = end;
        }
    }
    return MR_OK;
}

/* Would another start begin elsewhere? At "latest" of startingOffsets, or of a person (-1 of `watermark set`). */
static bool is_to_begin(const struct kafka_source *source)
{
    bool begins = !source->has_since;
    for (int i = 0; i < source->since.count; i++)
        begins = begins || source->since.items[i].offset < 0;
    return source->streaming && begins;
}

/* Where the next incremental run begins; of the first epoch of a stream also where it begins itself. */
static enum mr_status write_upto(const struct kafka_source *source, struct mr_arena *arena,
                                 struct mr_split_list *out, struct mr_error *err)
{
    const struct kafka_partitions *partitions = &source->partitions;
    struct kafka_marks marks = {.cluster = partitions->cluster, .count = partitions->count};
    marks.items = mr_arena_calloc(arena, (size_t)marks.count + 1, sizeof *marks.items);
    if (marks.items == NULL)
        return mr_error_nomem(err);
    bool all = true;
    for (int i = 0; i < marks.count; i++) {
        const struct kafka_partition *partition = &partitions->items[i];
        marks.items[i] = (struct kafka_mark){partition->topic, partition->number, partition->goal};
        all = all && partition->goal == partition->end;
    }
    if (!all)
        MR_TRY(kafka_marks_write(&marks, arena, &out->goal, err));
    for (int i = 0; i < marks.count; i++)
        marks.items[i].offset = partitions->items[i].from;
    if (is_to_begin(source))
        MR_TRY(kafka_marks_write(&marks, arena, &out->begin, err));
    for (int i = 0; i < marks.count; i++)
        marks.items[i].offset = partitions->items[i].end;
    MR_TRY(kafka_marks_write(&marks, arena, &out->upto, err));
    out->upto_text = kafka_marks_text(&marks, arena);
    return out->upto_text != NULL ? MR_OK : mr_error_nomem(err);
}

enum mr_status kafka_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                            struct mr_split_list *out, struct mr_error *err)
{
    struct kafka_source *source = state;
    *out = (struct mr_split_list){0};
    if (!source->planned)
        MR_TRY(kafka_find_ranges(source, runtime, err));
    source->planned = false;
    for (int i = 0; i < source->partitions.count && source->hub != NULL && source->rate > 0; i++)
        kafka_hub_spend(source->hub, &source->partitions.items[i], source->rate,
                        mr_clock_monotonic_micros());
    MR_TRY(cut(source, runtime, arena, out, err));
    MR_TRY(name_origins(source, arena, out, err));
    return source->incremental ? write_upto(source, arena, out, err) : MR_OK;
}
