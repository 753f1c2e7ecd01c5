/*
 * reader.c - reading: which row groups, how many rows at a time, batches.
 *
 * A reader goes through the row groups of its range one after the other. Per row group it has one leaf reader a wanted leaf
 * over one stream of bytes each; a batch takes the same number of rows from all leaves and assembles the columns. A batch
 * never crosses a row group, so that strings can share its dictionaries. Everything data-sized is charged to the step's
 * account: the windows of compressed bytes, one decompressed page a leaf, one dictionary a leaf, the batch.
 */
#include "format/parquet/reader.h"

#include "base/time.h"
#include "col/builder.h"
#include "format/parquet/assemble.h"

#define BATCH_BYTES    ((int64_t)4 << 20)
#define BATCH_ROWS_MAX 65536

struct reader {
    struct mr_format_read read;
    struct mr_memory *memory;
    struct mr_arena arena; /* footer, tree, selection */
    struct mr_pq_file file;
    struct mr_pq_node root;
    struct mr_pq_selection selection;
    const struct mr_schema *schema; /* of the columns wanted */
    const struct mr_schema *out;    /* the same, with the row's position if asked for */
    int group;                      /* the next row group */
    int last;                       /* behind the last of the range */
    /* The open row group. */
    struct mr_pq_input input;
    struct mr_pq_leaf_reader *leaves;
    struct mr_arena group_arena;
    struct mr_pq_places *places; /* of pages, one a leaf, when some are left out */
    const struct mr_pq_group *open;
    struct mr_pq_rows *ranges; /* of rows to read */
    int nranges;
    int range;
    int64_t batch_rows;
    int64_t row; /* the next, in the row group */
};

/* ---- opening ---- */

static const char *option_text(const struct mr_format_read *read, const char *name)
{
    if (read->options == NULL || mr_option_find(read->options->table, name) == NULL)
        return NULL;
    return mr_options_text(read->options, name);
}

/* The columns of a file as they are by themselves. */
static enum mr_status own_schema(const struct mr_pq_file *file, const struct mr_pq_node *root,
                                 struct mr_arena *arena, const struct mr_schema **out,
                                 struct mr_error *err)
{
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)root->nchildren + 1, sizeof *fields);
    if (fields == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < root->nchildren; i++) {
        const struct mr_pq_node *node = &root->children[i];
        if (node->type == NULL) {
            enum mr_status status =
                mr_error_data(err, MR_SOURCE, "%s: column %s cannot be read: %s", file->name,
                              node->path, node->refused);
            mr_error_hint(err, "name the columns to read in \"schema\"");
            return status;
        }
        fields[i] = (struct mr_field){.name = node->name,
                                      .type = node->type,
                                      .nullable = node->nullable,
                                      .id = node->id};
    }
    *out = mr_schema_new(arena, fields, root->nchildren);
    return *out ? MR_OK : mr_error_nomem(err);
}

/* "3 row groups, snappy, 31.5 MiB of values, written by x" */
static const char *describe(const struct mr_pq_file *file, struct mr_arena *arena)
{
    static const char *const codecs[] = {"uncompressed", "snappy", "gzip", "lzo",
                                         "brotli",       "lz4",    "zstd", "lz4_raw"};
    int64_t bytes = 0;
    int codec = file->ngroups > 0 && file->nleaves > 0 ? file->groups[0].columns[0].codec : -1;
    bool mixed = false;
    for (int i = 0; i < file->ngroups; i++)
        for (int k = 0; k < file->nleaves; k++) {
            const struct mr_pq_column *column = &file->groups[i].columns[k];
            mixed = mixed || column->codec != codec;
            if (column->uncompressed > 0 && column->uncompressed < INT64_MAX - bytes)
                bytes += column->uncompressed;
        }
    char size[32];
    mr_size_format(bytes, size, sizeof size);
    return mr_arena_printf(arena, "%d row group%s, %s, %s of values%s%.80s", file->ngroups,
                           file->ngroups == 1 ? "" : "s",
                           mixed                    ? "several codecs"
                           : codec < 0 || codec > 7 ? "no codec"
                                                    : codecs[codec],
                           size, *file->created_by ? ", written by " : "", file->created_by);
}

enum mr_status mr_pq_probe(const struct mr_format_read *read, struct mr_arena *arena,
                           struct mr_file_info *info, struct mr_error *err)
{
    struct mr_arena scratch;
    struct mr_pq_file file;
    struct mr_pq_node root;
    mr_arena_init(&scratch, read->runtime->memory);
    enum mr_status status = mr_pq_file_read(read->source, &scratch, &file, err);
    *info = (struct mr_file_info){.schema = read->schema, .splittable = true};
    info->rows = file.rows;
    if (status == MR_OK)
        info->details = describe(&file, arena);
    if (status == MR_OK && read->schema == NULL) {
        const struct mr_schema *schema = NULL;
        status = mr_pq_tree_make(&file, &scratch, &root, err);
        if (status == MR_OK)
            status = own_schema(&file, &root, &scratch, &schema, err);
        if (status == MR_OK) {
            struct mr_field *fields =
                mr_arena_calloc(arena, (size_t)schema->nfields + 1, sizeof *fields);
            for (int i = 0; fields != NULL && i < schema->nfields; i++) {
                fields[i] = schema->fields[i];
                fields[i].type = mr_type_copy(arena, fields[i].type);
            }
            info->schema = fields ? mr_schema_new(arena, fields, schema->nfields) : NULL;
            if (info->schema == NULL)
                status = mr_error_nomem(err);
        }
    }
    mr_arena_reset(&scratch);
    return status;
}

static enum mr_status add_position(struct reader *reader, struct mr_error *err)
{
    int n = reader->schema->nfields;
    reader->out = reader->schema;
    if (!reader->read.row_positions)
        return MR_OK;
    struct mr_field *fields = mr_arena_calloc(&reader->arena, (size_t)n + 1, sizeof *fields);
    if (fields == NULL)
        return mr_error_nomem(err);
    if (n > 0)
        memcpy(fields, reader->schema->fields, (size_t)n * sizeof *fields);
    fields[n] = (struct mr_field){.name = "row position", .type = mr_type_of(MR_TYPE_INT64)};
    struct mr_schema *schema = mr_arena_calloc(&reader->arena, 1, sizeof *schema);
    if (schema == NULL)
        return mr_error_nomem(err);
    *schema = (struct mr_schema){.nfields = n + 1, .fields = fields};
    reader->out = schema;
    return MR_OK;
}

static enum mr_status resolve(struct reader *reader, struct mr_error *err)
{
    const struct mr_format_read *read = &reader->read;
    reader->schema = read->schema;
    if (read->schema == NULL)
        MR_TRY(own_schema(&reader->file, &reader->root, &reader->arena, &reader->schema, err));
    const char *nanoseconds = option_text(read, "nanoseconds");
    reader->selection = (struct mr_pq_selection){
        .arena = &reader->arena,
        .file = &reader->file,
        .resolve = read->resolve,
        .by_position = read->schema == NULL,
        .floor = nanoseconds != NULL && strcmp(nanoseconds, "floor") == 0,
    };
    MR_TRY(mr_pq_resolve(&reader->selection, &reader->root, reader->schema, err));
    return add_position(reader, err);
}

/* The row groups whose first byte is in the range; they need not lie in order. */
static bool in_range(const struct mr_pq_group *group, const struct mr_file_range *range)
{
    return group->offset >= range->offset &&
           (range->size == INT64_MAX || group->offset - range->offset < range->size);
}

static enum mr_status choose_groups(struct reader *reader, const struct mr_file_range *range,
                                    struct mr_error *err)
{
    struct mr_pq_group *chosen =
        mr_arena_calloc(&reader->arena, (size_t)reader->file.ngroups + 1, sizeof *chosen);
    if (chosen == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < reader->file.ngroups; i++)
        if (in_range(&reader->file.groups[i], range))
            chosen[reader->last++] = reader->file.groups[i];
    reader->file.groups = chosen;
    return MR_OK;
}

static enum mr_status open_reader(struct reader *reader, const struct mr_file_range *range,
                                  struct mr_error *err)
{
    MR_TRY(mr_pq_file_read(reader->read.source, &reader->arena, &reader->file, err));
    MR_TRY(mr_pq_tree_make(&reader->file, &reader->arena, &reader->root, err));
    MR_TRY(resolve(reader, err));
    MR_TRY(choose_groups(reader, range, err));
    size_t n = (size_t)reader->selection.nleaves + 1;
    reader->leaves = mr_arena_calloc(&reader->arena, n, sizeof *reader->leaves);
    reader->input.streams = mr_arena_calloc(&reader->arena, n, sizeof *reader->input.streams);
    return reader->leaves && reader->input.streams ? MR_OK : mr_error_nomem(err);
}

enum mr_status mr_pq_read_open(const struct mr_format_read *read, const struct mr_file_range *range,
                               void **out, struct mr_error *err)
{
    *out = NULL;
    struct reader *reader = mr_calloc(1, sizeof *reader);
    if (reader == NULL)
        return mr_error_nomem(err);
    reader->read = *read;
    reader->memory = read->runtime->memory;
    mr_arena_init(&reader->arena, reader->memory);
    mr_arena_init(&reader->group_arena, reader->memory);
    enum mr_status status = open_reader(reader, range, err);
    if (status != MR_OK) {
        mr_pq_read_close(reader);
        return status;
    }
    *out = reader;
    return MR_OK;
}

/* ---- row groups ---- */

static void close_group(struct reader *reader)
{
    reader->open = NULL;
    for (int i = 0; i < reader->input.nstreams; i++)
        mr_pq_leaf_close(&reader->leaves[i]);
    mr_pq_input_reset(&reader->input);
    reader->input.nstreams = 0;
    mr_arena_reset(&reader->group_arena);
}

void mr_pq_read_close(void *handle)
{
    struct reader *reader = handle;
    if (reader == NULL)
        return;
    close_group(reader);
    mr_arena_reset(&reader->arena);
    mr_free(reader);
}

/* parquet-mr up to 1.2.8 left the dictionary's header out of the size (PARQUET-816): up to 100 bytes more. */
static int64_t chunk_end(const struct reader *reader, const struct mr_pq_column *column)
{
    int64_t end = column->offset + column->size;
    if (mr_pq_written_before(&reader->file, "parquet-mr", 1, 2, 9))
        end += reader->file.size - end < 100 ? reader->file.size - end : 100;
    return end;
}

/* Is any row of a page wanted? Both ascend: *range is where the search goes on. */
static bool page_wanted(const struct reader *reader, int64_t from, int64_t to, int *range)
{
    while (*range < reader->nranges && reader->ranges[*range].to <= from)
        (*range)++;
    return *range < reader->nranges && reader->ranges[*range].from < to;
}

/* What must be read of a chunk: its dictionary and the pages with rows that are wanted; or all of it. */
static enum mr_status make_pieces(struct reader *reader, int leaf, const struct mr_pq_group *group,
                                  const struct mr_pq_column *column, struct mr_pq_stream *stream,
                                  struct mr_error *err)
{
    const struct mr_pq_places *places = reader->places ? &reader->places[leaf] : NULL;
    int count = places ? places->count : 0, range = 0;
    struct mr_pq_piece *pieces =
        mr_arena_calloc(&reader->group_arena, (size_t)count + 1, sizeof *pieces);
    if (pieces == NULL)
        return mr_error_nomem(err);
    *stream = (struct mr_pq_stream){.next = column->offset,
                                    .end = chunk_end(reader, column),
                                    .pieces = pieces};
    pieces[stream->npieces++] = (struct mr_pq_piece){.start = stream->next, .end = stream->end};
    if (count == 0)
        return MR_OK;
    pieces[0].end = places->items[0].offset;
    stream->npieces = pieces[0].end > pieces[0].start;
    for (int i = 0; i < count; i++) {
        const struct mr_pq_place *place = &places->items[i];
        int64_t to = i + 1 < count ? places->items[i + 1].row : group->rows;
        if (!page_wanted(reader, place->row, to, &range))
            continue;
        struct mr_pq_piece *last = stream->npieces > 0 ? &pieces[stream->npieces - 1] : NULL;
        stream->end = place->offset + place->size;
        if (last != NULL && last->end == place->offset)
            last->end = stream->end;
        else
            pieces[stream->npieces++] =
                (struct mr_pq_piece){.start = place->offset, .end = stream->end};
    }
    return MR_OK;
}

static enum mr_status prepare_leaf(struct reader *reader, int i, const struct mr_pq_group *group,
                                   struct mr_error *err)
{
    const struct mr_pq_wanted_leaf *wanted = &reader->selection.leaves[i];
    struct mr_pq_leaf_reader *leaf = &reader->leaves[i];
    const struct mr_pq_column *column = &group->columns[wanted->node->leaf];
    MR_TRY(make_pieces(reader, i, group, column, &reader->input.streams[i], err));
    memset(leaf, 0, offsetof(struct mr_pq_leaf_reader, ahead_def));
    leaf->levels = 0;
    leaf->def_levels = leaf->rep_levels = leaf->validity = NULL;
    memset(&leaf->values, 0, sizeof leaf->values);
    leaf->pages = (struct mr_pq_pages){
        .input = &reader->input,
        .stream = &reader->input.streams[i],
        .memory = reader->memory,
        .file = &reader->file,
        .column = column,
        .leaf = wanted->node,
        .max_rep = wanted->node->rep,
        .indexed = reader->places != NULL && reader->places[i].count > 0,
    };
    leaf->places = reader->places ? &reader->places[i] : NULL;
    leaf->node = wanted->node;
    leaf->type = wanted->type;
    leaf->convert = wanted->convert;
    leaf->levels_only = wanted->levels_only;
    leaf->nested = wanted->nested;
    leaf->slot_def = wanted->slot_def;
    leaf->memory = reader->memory;
    return MR_OK;
}

/* Rows of a batch: what was asked for, or as many as the sizes in the footer make 4 MiB of. */
static int64_t rows_of_batch(const struct reader *reader, const struct mr_pq_group *group)
{
    if (reader->read.runtime->batch_rows > 0)
        return reader->read.runtime->batch_rows;
    double width = 1;
    for (int i = 0; i < reader->selection.nleaves; i++) {
        const struct mr_pq_wanted_leaf *leaf = &reader->selection.leaves[i];
        const struct mr_pq_column *column = &group->columns[leaf->node->leaf];
        double slots = (double)column->values / (double)(group->rows > 0 ? group->rows : 1);
        double fixed = slots * (leaf->convert.to_width + leaf->nested * 2);
        double bytes = (double)column->uncompressed / (double)(group->rows > 0 ? group->rows : 1);
        width += bytes > fixed ? bytes : fixed;
    }
    double rows = (double)BATCH_BYTES / width;
    return rows < 1 ? 1 : rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : (int64_t)rows;
}

/* Bytes of the wanted columns. */
static int64_t group_bytes(const struct reader *reader, const struct mr_pq_group *group)
{
    int64_t bytes = 0;
    for (int i = 0; i < reader->selection.nleaves; i++)
        bytes += group->columns[reader->selection.leaves[i].node->leaf].size;
    return bytes;
}

static int64_t piece_bytes(const struct reader *reader)
{
    int64_t bytes = 0;
    for (int i = 0; i < reader->selection.nleaves; i++)
        for (int k = 0; k < reader->input.streams[i].npieces; k++)
            bytes +=
                reader->input.streams[i].pieces[k].end - reader->input.streams[i].pieces[k].start;
    return bytes;
}

/* Which rows of the group; none: it is left out. */
static enum mr_status choose_rows(struct reader *reader, const struct mr_pq_group *group,
                                  struct mr_error *err)
{
    struct mr_pq_skip skip = {&reader->read, &reader->selection, reader->read.source};
    reader->range = reader->nranges = 0;
    reader->places = NULL;
    if (group->rows == 0 || mr_pq_skip_group(&skip, group))
        return MR_OK;
    return mr_pq_skip_pages(&skip, group, &reader->group_arena, &reader->ranges, &reader->nranges,
                            &reader->places, err);
}

static enum mr_status open_group(struct reader *reader, const struct mr_pq_group *group,
                                 struct mr_error *err)
{
    int64_t bytes = group_bytes(reader, group);
    MR_TRY(choose_rows(reader, group, err));
    if (reader->nranges == 0) {
        mr_count(reader->read.runtime, MR_COUNT_BYTES_SKIPPED, bytes);
        return MR_OK;
    }
    reader->row = reader->ranges[0].from;
    reader->batch_rows = rows_of_batch(reader, group);
    reader->input.source = reader->read.source;
    reader->input.memory = reader->memory;
    for (int i = 0; i < reader->selection.nleaves; i++)
        MR_TRY(prepare_leaf(reader, i, group, err));
    reader->input.nstreams = reader->selection.nleaves;
    for (int i = 0; i < reader->selection.nleaves; i++)
        MR_TRY(mr_pq_leaf_open(&reader->leaves[i], reader->read.runtime->registry, err));
    if (reader->places != NULL)
        mr_count(reader->read.runtime, MR_COUNT_BYTES_SKIPPED, bytes - piece_bytes(reader));
    MR_TRY(mr_pq_input_open(&reader->input, err));
    reader->open = group;
    return MR_OK;
}

/* ---- batches ---- */

static enum mr_status position_column(struct reader *reader, int64_t rows, struct mr_column **out,
                                      struct mr_error *err)
{
    struct mr_buffer *values;
    MR_TRY(mr_buffer_new(reader->memory, (size_t)rows * 8, &values, err));
    int64_t *to = (int64_t *)(void *)values->data;
    for (int64_t i = 0; i < rows; i++)
        to[i] = reader->open->first_row + reader->row + i;
    mr_buffer_finish(values, (size_t)rows * 8);
    return mr_column_new(mr_type_of(MR_TYPE_INT64), rows, 0, NULL, values, NULL, out, err);
}

static enum mr_status make_column(struct reader *reader, int i, int64_t rows,
                                  struct mr_column **out, struct mr_error *err)
{
    const struct mr_field *field = &reader->out->fields[i];
    if (i == reader->schema->nfields)
        return position_column(reader, rows, out, err);
    MR_TRY(mr_pq_assemble(&reader->selection.columns[i], reader->leaves, reader->memory, rows, out,
                          err));
    if (field->nullable || (*out)->nulls == 0)
        return MR_OK;
    mr_column_unref(*out);
    *out = NULL;
    return mr_error_data(err, MR_SOURCE, "%s: column %s may not be NULL, and has NULLs in the file",
                         reader->file.name, field->name);
}

static enum mr_status make_batch(struct reader *reader, int64_t rows, struct mr_batch **out,
                                 struct mr_error *err)
{
    int n = 0;
    enum mr_status status = MR_OK;
    struct mr_column **columns = mr_alloc(((size_t)reader->out->nfields + 1) * sizeof *columns);
    if (columns == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < reader->selection.nleaves; i++) {
        MR_TRY_OUT(mr_pq_leaf_seek(&reader->leaves[i], reader->row, reader->batch_rows, err));
        MR_TRY_OUT(mr_pq_leaf_read(&reader->leaves[i], rows, err));
    }
    for (; n < reader->out->nfields; n++)
        MR_TRY_OUT(make_column(reader, n, rows, &columns[n], err));
    status = mr_batch_new(reader->out, rows, columns, out, err);
    n = 0;
out:
    for (int i = 0; i < n; i++)
        mr_column_unref(columns[i]);
    mr_free(columns);
    return status;
}

enum mr_status mr_pq_read_next(void *handle, struct mr_batch **out, struct mr_error *err)
{
    struct reader *reader = handle;
    *out = NULL;
    while (reader->open == NULL) {
        close_group(reader);
        if (reader->group == reader->last)
            return MR_OK;
        MR_TRY(open_group(reader, &reader->file.groups[reader->group++], err));
    }
    const struct mr_pq_rows *range = &reader->ranges[reader->range];
    int64_t rows = range->to - reader->row;
    rows = rows < reader->batch_rows ? rows : reader->batch_rows;
    MR_TRY(make_batch(reader, rows, out, err));
    reader->row += rows;
    if (reader->row < range->to)
        return MR_OK;
    if (++reader->range < reader->nranges)
        reader->row = reader->ranges[reader->range].from;
    else
        close_group(reader);
    return MR_OK;
}
