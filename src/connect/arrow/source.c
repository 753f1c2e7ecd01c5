/*
 * source.c - fromArrow: rows of a stream that the embedding program gave (millrace_give_stream).
 *
 * Bind reads the stream into memory (held.c), so that the plan knows exact counts and every reader
 * afterwards is a walk over batches that are there: columns are handed out by reference. Offline
 * only the schema is read; where nothing is given (the command, an editor's check), it is unknown.
 *
 * A split is a run of rows between batch boundaries: 01 | first row | end row | all rows, as varints.
 * Rows and not batches are counted, because a foreign scheduler's other process is given the same
 * rows, maybe in other batches; the number of all rows tells apart a stream that is not the same.
 * A position is 01 | rows of the split that were delivered.
 */
#include "connect/arrow/arrow.h"

#include "connect/arrow/held.h"

#define VERSION         1
#define SPLITS_A_THREAD 4

static const struct mr_option arrow_options[] = {
    {.name = "stream",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .doc = "The name under which the embedding program gave the stream (millrace_give_stream)."},
    MR_OPTION_END,
};

struct source {
    struct mr_arena *arena;
    const struct mr_arrow_held *held; /* NULL offline, when nothing is given */
    const struct mr_schema *schema;
    int *columns; /* of held->schema that are read; NULL = all */
    int64_t limit;
};

/* --- bind --- */

static enum mr_status not_given(const struct mr_source_bind *bind, const char *name,
                                struct mr_error *err)
{
    const struct mr_given_list *list = bind->runtime->given;
    if (list == NULL || list->first == NULL) {
        mr_options_error(bind->options, "stream", err, "no Arrow stream is given as \"%.100s\"",
                         name);
        mr_error_hint(err, "only a program that embeds Millrace can give one "
                           "(millrace_give_stream in millrace.h); the command cannot");
        return MR_CONFIG;
    }
    struct mr_bytes names;
    mr_bytes_init(&names, 2048);
    mr_given_names(list, &names);
    mr_options_error(bind->options, "stream", err, "no Arrow stream is given as \"%.100s\"", name);
    mr_error_hint(err, "given: %s", names.data != NULL ? names.data : "");
    mr_bytes_reset(&names);
    return MR_CONFIG;
}

static enum mr_status describe(const struct source *source, struct mr_source_info *info,
                               struct mr_error *err)
{
    const char **notes = mr_arena_calloc(source->arena, 1, sizeof *notes);
    if (notes == NULL)
        return mr_error_nomem(err);
    notes[0] = mr_arena_printf(source->arena, "held in memory: %d batch(es), %lld bytes",
                               source->held->nbatches, (long long)source->held->bytes);
    if (notes[0] == NULL)
        return mr_error_nomem(err);
    info->notes = notes;
    info->nnotes = 1;
    return MR_OK;
}

static enum mr_status bind_given(const struct mr_source_bind *bind, const char *name,
                                 struct source *source, struct mr_source_info *info,
                                 struct mr_error *err)
{
    struct mr_runtime *runtime = bind->runtime;
    struct mr_given *given = mr_given_find(runtime->given, name);
    struct mr_arrow_held *held = NULL;
    if (given == NULL && runtime->offline &&
        (runtime->given == NULL || runtime->given->first == NULL))
        return MR_OK;
    if (given == NULL)
        return not_given(bind, name, err);
    MR_TRY(mr_arrow_held_get(given, runtime->given, &held, err));
    source->held = held;
    source->schema = info->schema = held->schema;
    if (runtime->offline)
        return MR_OK;
    MR_TRY(mr_arrow_held_fill(given, runtime->waiter, err));
    info->rows = held->rows;
    info->bytes = held->bytes;
    return describe(source, info, err);
}

static void close_source(void *state)
{
    mr_free(state);
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    const char *name = mr_options_text(bind->options, "stream");
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    struct source *source = mr_calloc(1, sizeof *source);
    if (source == NULL)
        return mr_error_nomem(err);
    source->arena = bind->arena;
    source->limit = -1;
    info->location = mr_arena_printf(bind->arena, "Arrow stream \"%s\"", name);
    enum mr_status status =
        info->location != NULL ? bind_given(bind, name, source, info, err) : mr_error_nomem(err);
    if (status != MR_OK) {
        close_source(source);
        return status;
    }
    *out = source;
    return MR_OK;
}

/* --- offer --- */

static int64_t columns_bytes(const struct source *source)
{
    int64_t bytes = 0;
    for (int i = 0; i < source->held->nbatches; i++)
        for (int k = 0; k < source->schema->nfields; k++)
            bytes += mr_column_bytes(source->held->batches[i]->columns[source->columns[k]]);
    return bytes;
}

static enum mr_status narrow(struct source *source, const bool *wanted, struct mr_error *err)
{
    const struct mr_schema *all = source->held->schema;
    int *columns = mr_arena_calloc(source->arena, (size_t)all->nfields + 1, sizeof *columns);
    struct mr_field *fields =
        mr_arena_calloc(source->arena, (size_t)all->nfields + 1, sizeof *fields);
    if (columns == NULL || fields == NULL)
        return mr_error_nomem(err);
    int n = 0;
    for (int i = 0; i < all->nfields; i++)
        if (wanted[i]) {
            fields[n] = all->fields[i];
            columns[n++] = i;
        }
    source->columns = columns;
    source->schema = mr_schema_new(source->arena, fields, n);
    return source->schema != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status offer_source(void *state, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    struct source *source = state;
    for (int i = 0; i < offer->npredicates; i++)
        offer->pushed[i] = MR_PUSH_REFUSED;
    if (source->held == NULL)
        return MR_OK;
    source->limit = offer->npredicates == 0 ? offer->limit : -1;
    if (offer->columns != NULL) {
        MR_TRY(narrow(source, offer->columns, err));
        info->schema = source->schema;
        info->bytes = source->held->complete ? columns_bytes(source) : -1;
    }
    return MR_OK;
}

/* --- splits --- */

static enum mr_status write_split(struct mr_arena *arena, int64_t from, int64_t end, int64_t all,
                                  struct mr_split *out, struct mr_error *err)
{
    struct mr_bytes token;
    mr_bytes_init(&token, 64);
    mr_bytes_u8(&token, VERSION);
    mr_bytes_varint(&token, (uint64_t)from);
    mr_bytes_varint(&token, (uint64_t)end);
    mr_bytes_varint(&token, (uint64_t)all);
    enum mr_status status = mr_bytes_status(&token, err);
    const char *copy = status == MR_OK ? mr_arena_strndup(arena, token.data, token.size) : NULL;
    *out = (struct mr_split){
        .token = {copy, token.size},
        .label = mr_arena_printf(arena, "rows [%lld, %lld)", (long long)from, (long long)end),
        .rows = end - from,
        .bytes = -1,
    };
    mr_bytes_reset(&token);
    if (status == MR_OK && (copy == NULL || out->label == NULL))
        status = mr_error_nomem(err);
    return status;
}

/* Runs of batches of about equal numbers of rows, a few for each thread. */
static enum mr_status make_splits(void *state, struct mr_runtime *runtime, struct mr_arena *arena,
                                  struct mr_split_list *out, struct mr_error *err)
{
    const struct source *source = state;
    const struct mr_arrow_held *held = source->held;
    int64_t wanted =
        (int64_t)SPLITS_A_THREAD * (runtime->parallelism > 0 ? runtime->parallelism : 1);
    int64_t most = held->nbatches < wanted ? held->nbatches : wanted;
    *out = (struct mr_split_list){0};
    out->items = mr_arena_calloc(arena, (size_t)most + 1, sizeof *out->items);
    if (out->items == NULL)
        return mr_error_nomem(err);
    int64_t from = 0;
    for (int i = 0; i < held->nbatches; i++) {
        int64_t end = held->ends[i];
        /* The share of the splits so far, this one included. */
        if (i + 1 < held->nbatches && end < held->rows * (out->count + 1) / most)
            continue;
        struct mr_split *split = &out->items[out->count];
        MR_TRY(write_split(arena, from, end, held->rows, split, err));
        if (source->limit >= 0 && split->rows > source->limit)
            split->rows = source->limit;
        out->count++;
        from = end;
    }
    return MR_OK;
}

/* --- reading --- */

struct reader {
    const struct source *source;
    struct mr_runtime *runtime;
    struct mr_column **columns; /* room for a row of them */
    int64_t start;              /* first row of the split */
    int64_t end;                /* behind the last row that is read */
    int64_t row;                /* the next one */
    int batch;                  /* that it is in */
};

static enum mr_status read_split(struct reader *reader, struct mr_slice split, struct mr_slice from,
                                 struct mr_error *err)
{
    const struct source *source = reader->source;
    struct mr_byte_reader bytes;
    mr_byte_reader_init(&bytes, split.data, split.size);
    uint8_t version = mr_byte_reader_u8(&bytes);
    uint64_t start = mr_byte_reader_varint(&bytes), end = mr_byte_reader_varint(&bytes);
    uint64_t all = mr_byte_reader_varint(&bytes), done = 0;
    if (bytes.bad || version != VERSION || start > end || end > all)
        return mr_error_internal(err, "a split of an Arrow stream of an unknown form");
    if (all != (uint64_t)source->held->rows)
        return mr_error_data(
            err, MR_SOURCE, "the Arrow stream has %lld rows; where the run was planned it had %llu",
            (long long)source->held->rows, (unsigned long long)all);
    if (from.size > 0) {
        mr_byte_reader_init(&bytes, from.data, from.size);
        version = mr_byte_reader_u8(&bytes);
        done = mr_byte_reader_varint(&bytes);
        if (bytes.bad || version != VERSION || done > end - start)
            return mr_error_internal(err, "a position that is not of this split");
    }
    if (source->limit >= 0 && end - start > (uint64_t)source->limit)
        end = start + (uint64_t)source->limit;
    reader->start = (int64_t)start;
    reader->end = (int64_t)end;
    reader->row = (int64_t)(start + done);
    while (reader->batch < source->held->nbatches &&
           source->held->ends[reader->batch] <= reader->row)
        reader->batch++;
    return MR_OK;
}

static void reader_close(void *object)
{
    struct reader *reader = object;
    mr_free(reader->columns);
    mr_free(reader);
}

static enum mr_status reader_open(void *state, struct mr_runtime *runtime, struct mr_slice split,
                                  struct mr_slice from, void **out, struct mr_error *err)
{
    const struct source *source = state;
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->source = source;
    reader->runtime = runtime;
    reader->columns = mr_calloc((size_t)source->schema->nfields + 1, sizeof(struct mr_column *));
    enum mr_status status =
        reader->columns != NULL ? read_split(reader, split, from, err) : mr_error_nomem(err);
    if (status != MR_OK) {
        reader_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

/* The held batch with the columns that are read: references only. */
static enum mr_status pick_columns(struct reader *reader, struct mr_batch *held,
                                   struct mr_batch **out, struct mr_error *err)
{
    const struct source *source = reader->source;
    if (source->columns == NULL) {
        *out = mr_batch_ref(held);
        return MR_OK;
    }
    for (int i = 0; i < source->schema->nfields; i++)
        reader->columns[i] = mr_column_ref(held->columns[source->columns[i]]);
    return mr_batch_derive(held, source->schema, reader->columns, out, err);
}

static enum mr_status next_batch(struct reader *reader, struct mr_batch **out, struct mr_error *err)
{
    const struct mr_arrow_held *held = reader->source->held;
    struct mr_batch *whole = NULL;
    int64_t end = held->ends[reader->batch], asked = reader->runtime->batch_rows;
    int64_t first = end - held->batches[reader->batch]->rows;
    int64_t count = (end < reader->end ? end : reader->end) - reader->row;
    if (asked > 0 && count > asked)
        count = asked;
    MR_TRY(pick_columns(reader, held->batches[reader->batch], &whole, err));
    enum mr_status status = MR_OK;
    if (count == whole->rows)
        *out = mr_batch_ref(whole);
    else
        status =
            mr_batch_slice(reader->runtime->memory, whole, reader->row - first, count, out, err);
    mr_batch_unref(whole);
    MR_TRY(status);
    reader->row += count;
    if (reader->row == end)
        reader->batch++;
    return MR_OK;
}

static enum mr_status reader_next(void *object, struct mr_item *out, struct mr_error *err)
{
    struct reader *reader = object;
    *out = (struct mr_item){.kind = MR_ITEM_END};
    if (mr_wait_cancelled(reader->runtime->waiter))
        return mr_error_cancelled(err);
    if (reader->row >= reader->end)
        return MR_OK;
    MR_TRY(next_batch(reader, &out->batch, err));
    out->kind = MR_ITEM_BATCH;
    mr_count(reader->runtime, MR_COUNT_ROWS_READ, out->batch->rows);
    mr_count(reader->runtime, MR_COUNT_BATCHES, 1);
    return MR_OK;
}

static enum mr_status reader_position(void *object, struct mr_bytes *out, struct mr_error *err)
{
    const struct reader *reader = object;
    mr_bytes_u8(out, VERSION);
    mr_bytes_varint(out, (uint64_t)(reader->row - reader->start));
    return mr_bytes_status(out, err);
}

const struct mr_source mr_source_arrow = {
    .name = "arrow",
    .doc = "Reads an Arrow C stream that the embedding program gave; its rows are held in memory.",
    .options = arrow_options,
    .flags = MR_SOURCE_STABLE_ORDER | MR_SOURCE_GIVEN,
    .bind = bind_source,
    .offer = offer_source,
    .splits = make_splits,
    .reader_open = reader_open,
    .next = reader_next,
    .position = reader_position,
    .reader_close = reader_close,
    .close = close_source,
};
