/*
 * source.c - fromS3, fromFile, fromAvro: bind, offer, narrow.
 *
 * Bind lists the files once: that is the snapshot, and what the plan says of files is what is read. Without a schema it asks the files
 * (probe.c, schema_union.c); with one it opens none, so that a pipeline over a hundred thousand files plans in the time of their listing, and
 * the frame has exactly those columns, offline too.
 *
 * Columns come in the order of the schema, partition columns behind those of the files. What a directory says goes before what the
 * file says under the same name.
 */
#include "connect/files/files.h"
#include "connect/files/incremental.h"
#include "connect/files/read.h"

#include "base/text.h"
#include "base/time.h"
#include "ext/registry.h"

#include <stdio.h>

#define NOTES_MOST     24
#define REMOTE_READERS 16

/* --- notes --- */

struct notes {
    struct mr_arena *arena;
    const char **lines;
    int count;
    int more;
    bool nomem;
};

static void add_note(void *context, const char *line)
{
    struct notes *notes = context;
    if (notes->count == NOTES_MOST) {
        notes->more++;
        return;
    }
    const char *copy = line ? mr_arena_strdup(notes->arena, line) : NULL;
    notes->nomem = notes->nomem || copy == NULL;
    if (copy != NULL)
        notes->lines[notes->count++] = copy;
}

static enum mr_status begin_notes(struct notes *notes, struct mr_arena *arena, struct mr_error *err)
{
    *notes = (struct notes){.arena = arena};
    notes->lines = mr_arena_calloc(arena, NOTES_MOST + 1, sizeof *notes->lines);
    return notes->lines ? MR_OK : mr_error_nomem(err);
}

static enum mr_status end_notes(struct notes *notes, struct mr_source_info *info,
                                struct mr_error *err)
{
    if (notes->more > 0) {
        const char *line = mr_arena_printf(notes->arena, "and %d more notes", notes->more);
        notes->nomem = notes->nomem || line == NULL;
        notes->lines[notes->count++] = line;
    }
    info->notes = notes->lines;
    info->nnotes = notes->count;
    return notes->nomem ? mr_error_nomem(err) : MR_OK;
}

static int64_t bytes_of(const struct files_source *source, bool skipped, int *files)
{
    int64_t bytes = 0;
    *files = 0;
    for (int i = 0; i < source->nentries; i++)
        if (source->entries[i].skipped == skipped && !(skipped && source->entries[i].known)) {
            bytes += source->entries[i].size;
            ++*files;
        }
    return bytes;
}

static void note_files(const struct files_source *source, struct notes *notes)
{
    char size[32], line[256];
    int files;
    int64_t bytes = bytes_of(source, true, &files);
    if (files > 0) {
        mr_size_format(bytes, size, sizeof size);
        snprintf(line, sizeof line, "partition values leave out %d of %d files (%s)", files,
                 source->nentries, size);
        add_note(notes, line);
    }
    bytes = bytes_of(source, false, &files);
    mr_size_format(bytes, size, sizeof size);
    snprintf(line, sizeof line, "%d file%s, %s, %s", files, files == 1 ? "" : "s", size,
             source->format->name);
    add_note(notes, source->nentries > 0 ? line : "there are no files: the frame is empty");
}

static void note_partitions(const struct files_source *source, struct notes *notes)
{
    struct mr_bytes line;
    mr_bytes_init(&line, MR_BYTES_DEFAULT_MAXIMUM);
    char type[64];
    for (int i = 0; i < source->npartitions; i++) {
        const struct files_partition *column = &source->partitions[i];
        bool used = source->given == NULL || mr_schema_find(source->given, column->name) >= 0;
        mr_bytes_printf(&line, "%s%s %s%s", i ? ", " : "partition columns: ", column->name,
                        mr_type_text(column->type, type, sizeof type),
                        used ? "" : " (left out: not in schema)");
    }
    if (source->npartitions > 0)
        add_note(notes, line.status == MR_OK ? line.data : NULL);
    mr_bytes_reset(&line);
}

/* --- the format --- */

static bool ends_with(const char *text, size_t size, const char *suffix)
{
    size_t n = strlen(suffix);
    if (size < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[size - n + i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != suffix[i])
            return false;
    }
    return true;
}

/* Behind the extension of a compressed file, if it has one. */
static size_t without_codec(const char *path)
{
    static const char *const codecs[] = {".gz",  ".zst",    ".zstd",    ".bz2",
                                         ".lz4", ".snappy", ".deflate", NULL};
    size_t size = strlen(path);
    for (int i = 0; codecs[i] != NULL; i++)
        if (ends_with(path, size, codecs[i]))
            return size - strlen(codecs[i]);
    return size;
}

static const char *format_of_path(const char *path)
{
    static const char *const extensions[][2] = {{".parquet", "parquet"}, {".parq", "parquet"},
                                                {".json", "json"},       {".jsonl", "json"},
                                                {".ndjson", "json"},     {".csv", "csv"},
                                                {".avro", "avro"},       {NULL, NULL}};
    size_t size = without_codec(path);
    for (int i = 0; extensions[i][0] != NULL; i++)
        if (ends_with(path, size, extensions[i][0]))
            return extensions[i][1];
    return NULL;
}

static const char *format_name(const struct files_source *source)
{
    const char *name = mr_options_text(source->options, "format");
    if (name != NULL)
        return name;
    for (int i = 0; i < source->nentries; i++) {
        const char *of = format_of_path(source->entries[i].path);
        if (of == NULL || (name != NULL && strcmp(of, name) != 0))
            return "parquet";
        name = of;
    }
    return name != NULL ? name : "parquet";
}

static enum mr_status find_format(struct files_source *source, struct mr_runtime *runtime,
                                  struct mr_error *err)
{
    const char *name = format_name(source);
    source->format = mr_registry_format(runtime->registry, name);
    if (source->format == NULL || source->format->read_open == NULL)
        return mr_options_error(source->options, "format", err,
                                "files of format %s cannot be read by this version", name);
    for (int i = 0; i < source->nentries; i++)
        source->entries[i].one_range =
            files_is_text(source->format) &&
            without_codec(source->entries[i].path) < strlen(source->entries[i].path);
    return MR_OK;
}

/* --- the schema --- */

struct probed {
    struct files_probe *items;
    int count;
};

/* Rows of files that were not looked at, by those that were. */
static void spread_rows(struct files_source *source, const struct probed *probed)
{
    int64_t rows = 0, bytes = 0;
    for (int i = 0; i < probed->count; i++) {
        const struct files_probe *probe = &probed->items[i];
        struct files_entry *entry = &source->entries[probe->entry];
        entry->rows = probe->info.rows;
        entry->one_range = entry->one_range || !probe->info.splittable;
        if (entry->rows < 0)
            return;
        rows += entry->rows;
        bytes += entry->size;
    }
    for (int i = 0; i < source->nentries && bytes > 0; i++)
        if (source->entries[i].rows < 0)
            source->entries[i].rows =
                (int64_t)((double)source->entries[i].size * (double)rows / (double)bytes);
}

/* What the files hold, without partition columns. */
static enum mr_status ask_files(struct files_source *source, struct mr_runtime *runtime,
                                const struct mr_schema **out, bool *complete, struct notes *notes,
                                struct mr_error *err)
{
    struct probed probed;
    MR_TRY(files_probe(source, runtime, &probed.items, &probed.count, err));
    struct files_union_part *parts =
        mr_arena_calloc(source->arena, (size_t)probed.count + 1, sizeof *parts);
    if (parts == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < probed.count; i++) {
        const struct files_probe *probe = &probed.items[i];
        parts[i] = (struct files_union_part){
            .name = files_name(source, source->arena, source->entries[probe->entry].path),
            .schema = probe->info.schema,
            .inferred = probe->info.inferred,
            .exact = strcmp(source->format->name, "json") == 0,
            .checks = strcmp(source->format->name, "parquet") == 0,
        };
    }
    MR_TRY(files_schema_union(source->arena, parts, probed.count, out, add_note, notes, err));
    if (probed.count > 0 && probed.items[0].info.details != NULL)
        add_note(notes, mr_arena_printf(source->arena, "%s: %s", parts[0].name,
                                        probed.items[0].info.details));
    spread_rows(source, &probed);
    *complete = probed.count == source->nentries;
    if (probed.count < source->nentries || (probed.count > 0 && parts[0].inferred)) {
        char line[160];
        snprintf(line, sizeof line, "schema from %s%d of %d file%s",
                 parts[0].inferred ? "a sample of " : "", probed.count, source->nentries,
                 source->nentries == 1 ? "" : "s");
        add_note(notes, line);
    }
    return MR_OK;
}

static int find_partition(const struct files_source *source, const char *name)
{
    for (int i = 0; i < source->npartitions; i++)
        if (strcmp(source->partitions[i].name, name) == 0)
            return i;
    for (int i = 0; i < source->npartitions; i++)
        if (mr_text_equal_nocase(source->partitions[i].name, name))
            return i;
    return -1;
}

/* Fields of the files (or of `given`), then partition columns. */
static enum mr_status assemble(struct files_source *source, const struct mr_schema *files,
                               bool complete, struct mr_error *err)
{
    size_t room = (size_t)files->nfields + (size_t)source->npartitions + 1;
    struct mr_field *fields = mr_arena_calloc(source->arena, room, sizeof *fields);
    source->all_from = mr_arena_calloc(source->arena, room, sizeof *source->all_from);
    if (fields == NULL || source->all_from == NULL)
        return mr_error_nomem(err);
    int n = 0;
    for (int i = 0; i < files->nfields; i++) {
        int partition = find_partition(source, files->fields[i].name);
        if (partition >= 0 && source->given == NULL)
            continue; /* the directory's, below */
        fields[n] = files->fields[i];
        fields[n].nullable |= !complete;        /* files that were not asked may lack it */
        if (fields[n].type->id == MR_TYPE_NULL) /* only NULLs anywhere */
            fields[n].type = mr_type_of(MR_TYPE_STRING);
        source->all_from[n++] = partition >= 0 ? ~partition : i;
    }
    for (int i = 0; i < source->npartitions && source->given == NULL; i++) {
        fields[n] = (struct mr_field){.name = source->partitions[i].name,
                                      .type = source->partitions[i].type,
                                      .nullable = true};
        source->all_from[n++] = ~i;
    }
    source->all = mr_schema_new(source->arena, fields, n);
    return source->all ? MR_OK : mr_error_nomem(err);
}

/* --- what comes out --- */

/* `wanted` over `all`; NULL = everything. */
static enum mr_status choose(struct files_source *source, const bool *wanted, struct mr_error *err)
{
    const struct mr_schema *all = source->all;
    size_t room = (size_t)all->nfields + 1;
    struct mr_field *out = mr_arena_calloc(source->arena, room, sizeof *out);
    struct mr_field *read = mr_arena_calloc(source->arena, room, sizeof *read);
    source->from = mr_arena_calloc(source->arena, room, sizeof *source->from);
    if (out == NULL || read == NULL || source->from == NULL)
        return mr_error_nomem(err);
    int nout = 0, nread = 0;
    for (int i = 0; i < all->nfields; i++) {
        if (wanted != NULL && !wanted[i])
            continue;
        out[nout] = all->fields[i];
        source->from[nout++] = source->all_from[i] < 0 ? source->all_from[i] : nread;
        if (source->all_from[i] >= 0)
            read[nread++] = all->fields[i];
    }
    source->schema = mr_schema_new(source->arena, out, nout);
    source->read = mr_schema_new(source->arena, read, nread);
    return source->schema && source->read ? MR_OK : mr_error_nomem(err);
}

/* Conditions over `all` in terms of the columns that are read. */
static enum mr_status translate(struct files_source *source, const struct mr_source_offer *offer,
                                struct mr_error *err)
{
    struct mr_arena *arena = source->arena;
    int *map = mr_arena_calloc(arena, (size_t)source->all->nfields + 1, sizeof *map);
    source->file_predicates =
        mr_arena_calloc(arena, (size_t)offer->npredicates + 1, sizeof(struct mr_predicate *));
    if (map == NULL || source->file_predicates == NULL)
        return mr_error_nomem(err);
    int nread = 0;
    for (int i = 0; i < source->all->nfields; i++) {
        bool read = source->all_from[i] >= 0 && (offer->columns == NULL || offer->columns[i]);
        map[i] = read ? nread++ : -1;
    }
    source->nfile_predicates = 0;
    source->predicate_hash = 1;
    for (int i = 0; i < offer->npredicates; i++) {
        const struct mr_predicate *left;
        if (offer->pushed[i] != MR_PUSH_PARTIAL)
            continue;
        MR_TRY(files_file_predicate(offer->predicates[i], map, arena, &left, err));
        if (left == NULL)
            continue;
        source->predicate_hash = files_hash_predicate(left, source->predicate_hash);
        source->file_predicates[source->nfile_predicates++] = left;
    }
    return MR_OK;
}

static void estimate(const struct files_source *source, struct mr_source_info *info)
{
    int files;
    info->bytes = bytes_of(source, false, &files);
    info->rows = 0;
    for (int i = 0; i < source->nentries && info->rows >= 0; i++)
        if (!source->entries[i].skipped)
            info->rows = source->entries[i].rows < 0 ? -1 : info->rows + source->entries[i].rows;
}

/* --- bind --- */

static enum mr_status read_options(struct files_source *source, const struct mr_source_bind *bind,
                                   struct mr_error *err)
{
    const struct mr_options *options = bind->options;
    static const enum mr_on_error modes[] = {MR_ON_ERROR_FAIL, MR_ON_ERROR_NULL, MR_ON_ERROR_DROP,
                                             MR_ON_ERROR_DROP};
    int64_t mode = mr_options_integer(options, "onError", 0);
    source->on_error = modes[mode];
    source->quarantine = mode == 3;
    if (source->quarantine != mr_options_has(options, "quarantine"))
        return mr_options_error(options, source->quarantine ? "onError" : "quarantine", err,
                                source->quarantine
                                    ? "onError quarantine needs `quarantine` with a path"
                                    : "`quarantine` is only used with onError quarantine");
    if (source->quarantine && (source->side = files_rejects_schema(source->arena)) == NULL)
        return mr_error_nomem(err);
    const char *schema = mr_options_text(options, "schema");
    if (schema != NULL) {
        struct mr_error cause = {0};
        if (mr_schema_parse(source->arena, schema, &source->given, &cause) != MR_OK)
            return mr_options_error(options, "schema", err, "%s", cause.message);
    }
    const char *zone = bind->runtime->time_zone;
    if (zone != NULL && strcmp(zone, "UTC") != 0)
        MR_TRY(mr_tz_new(zone, &source->tz, err));
    MR_TRY(files_incremental_check(source, bind, err));
    return mr_locate(options, bind->runtime, bind->arena, &source->location, err);
}

static enum mr_status bind_connected(struct files_source *source, const struct mr_source_bind *bind,
                                     struct mr_source_info *info, struct mr_error *err)
{
    struct mr_runtime *runtime = bind->runtime;
    struct notes notes;
    const struct mr_schema *files = source->given;
    bool complete = true;
    MR_TRY(begin_notes(&notes, source->arena, err));
    MR_TRY(files_find_place(&source->location, source->arena, &source->place, err));
    MR_TRY(files_incremental_begin(source, bind, info, err));
    MR_TRY(files_list(source, runtime, err));
    MR_TRY(find_format(source, runtime, err));
    MR_TRY(files_type_partitions(source, err));
    note_files(source, &notes);
    if (source->incremental != NULL)
        add_note(&notes, files_incremental_note(source, source->arena));
    note_partitions(source, &notes);
    if (files == NULL)
        MR_TRY(ask_files(source, runtime, &files, &complete, &notes, err));
    MR_TRY(assemble(source, files, complete, err));
    MR_TRY(choose(source, NULL, err));
    info->schema = source->schema;
    estimate(source, info);
    if (strcmp(source->location.store->scheme, "file") != 0)
        info->max_readers = runtime->parallelism > REMOTE_READERS ? 0 : REMOTE_READERS;
    return end_notes(&notes, info, err);
}

static void close_source(void *state)
{
    struct files_source *source = state;
    mr_arena_reset(&source->narrow_arena);
    mr_tz_free(source->tz);
    mr_free(source);
}

static enum mr_status bind_source(const struct mr_source_bind *bind, void **out,
                                  struct mr_source_info *info, struct mr_error *err)
{
    *out = NULL;
    *info = (struct mr_source_info){.rows = -1, .bytes = -1};
    struct files_source *source = mr_calloc(1, sizeof *source);
    if (source == NULL)
        return mr_error_nomem(err);
    source->options = bind->options;
    source->arena = bind->arena;
    source->limit = -1;
    source->predicate_hash = 1;
    mr_arena_init(&source->narrow_arena, bind->runtime->memory);
    enum mr_status status = read_options(source, bind, err);
    info->location = source->location.text;
    info->side = source->side;
    if (status == MR_OK && bind->runtime->offline) {
        source->all = source->given;
        info->schema = source->given;
    } else if (status == MR_OK) {
        status = bind_connected(source, bind, info, err);
    }
    if (status != MR_OK) {
        close_source(source);
        return status;
    }
    *out = source;
    return MR_OK;
}

/* --- offer, narrow --- */

static enum mr_status offer_source(void *state, struct mr_source_offer *offer,
                                   struct mr_source_info *info, struct mr_error *err)
{
    struct files_source *source = state;
    if (source->format == NULL) { /* offline */
        for (int i = 0; i < offer->npredicates; i++)
            offer->pushed[i] = MR_PUSH_REFUSED;
        return MR_OK;
    }
    struct notes notes;
    files_prune(source, offer);
    bool all_exact = true;
    for (int i = 0; i < offer->npredicates; i++)
        all_exact = all_exact && offer->pushed[i] == MR_PUSH_EXACT;
    source->limit = all_exact ? offer->limit : -1;
    MR_TRY(choose(source, offer->columns, err));
    MR_TRY(translate(source, offer, err));
    info->schema = source->schema;
    estimate(source, info);
    if (info->bytes > 0 && source->read->nfields < source->all->nfields &&
        !files_is_text(source->format)) {
        int columns = source->all->nfields - source->npartitions;
        info->bytes = info->bytes * (source->read->nfields + 1) / (columns + 1);
    }
    /* the note on files is the first of bind's; the others stay */
    MR_TRY(begin_notes(&notes, source->arena, err));
    note_files(source, &notes);
    for (int i = 0; i < info->nnotes; i++)
        if (strstr(info->notes[i], " file, ") == NULL &&
            strstr(info->notes[i], " files, ") == NULL &&
            strncmp(info->notes[i], "partition values leave out", 26) != 0 &&
            strncmp(info->notes[i], "there are no files", 18) != 0)
            add_note(&notes, info->notes[i]);
    return end_notes(&notes, info, err);
}

static enum mr_status narrow_source(void *state, const struct mr_predicate *predicate,
                                    struct mr_error *err)
{
    struct files_source *source = state;
    source->narrowed = source->narrowed_file = NULL;
    mr_arena_reset(&source->narrow_arena);
    if (predicate == NULL)
        return MR_OK;
    MR_TRY(files_copy_predicate(predicate, &source->narrow_arena, &source->narrowed, err));
    return files_file_predicate(source->narrowed, source->from, &source->narrow_arena,
                                &source->narrowed_file, err);
}

const struct mr_source mr_source_files = {
    .name = "files",
    .doc = "Reads files: Parquet, JSON, CSV or Avro, one or many, with the columns of their "
           "directories.",
    .system = "s3",
    .options = files_read_options,
    .flags = MR_SOURCE_STABLE_ORDER | MR_SOURCE_IMMUTABLE,
    .bind = bind_source,
    .offer = offer_source,
    .splits = files_splits,
    .narrow = narrow_source,
    .reader_open = files_reader_open,
    .next = files_reader_next,
    .position = files_reader_position,
    .reader_close = files_reader_close,
    .close = close_source,
};
