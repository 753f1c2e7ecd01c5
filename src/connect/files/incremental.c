/*
 * incremental.c - the option `incremental` of files: those that no earlier run has read.
 *
 * What was read is remembered file by file, as two hashes (its path; its size and time). A largest time or name that was seen was refused: a
 * file that was uploaded slowly, or copied with its old time, comes behind such a mark and is lost without a word. So a file is left
 * out only if exactly this file is known. The price is 16 bytes a file in the record of the epoch, and a listing of everything in each run.
 * Files are looked up as they are listed, and those that are known leave nothing but their marks.
 * Who can say how late a file may come bounds that too (maxFileAge): a horizon follows the newest file, what is
 * older counts as read and is forgotten. It is stored, and never moves back: neither with a clock nor with the option.
 *
 * A file that has gone is remembered too, for a while: a directory that was not mounted for one run must not be read again when it is
 * back. A known file that has changed since is an error, or (changed: read) read again from its beginning.
 *
 * 01 | place | newest (u64) | files: count, name (u64), state (u64) by name | gone: the same, latest first | CRC-32 (u32)
 * 02 | place | newest (u64) | horizon (u64) | files: count, name, state, modified (u64) by name | gone: the same | CRC-32
 */
#include "connect/files/incremental.h"

#include "base/hash.h"
#include "base/time.h"
#include "dataset/hive_read.h"

#include <stdlib.h>

#define VERSION      1
#define WITH_HORIZON 2
#define MARK_SIZE    16

struct files_incremental {
    const struct mr_options *options;
    struct files_known before; /* nothing, if no run was before or a person set the beginning */
    struct files_mark *gone;   /* of `before`, by name */
    bool read_changed;
    bool has_from;
    int64_t from;   /* without marks: files that were modified before count as read ... */
    bool inclusive; /* ... and those at this very time too */
    int64_t age;    /* maxFileAge, 0 = none */
    int64_t now;    /* before the listing */
    struct mr_slice since;
    bool has_horizon;
    int64_t horizon;
    struct files_mark *seen; /* of the listing, behind the horizon */
    int64_t nseen;
    int64_t capacity;
    int64_t newest;      /* of the files that are new */
    int64_t nfiles;      /* all of the listing */
    int64_t nknown;      /* of these left out */
    int64_t nremembered; /* of these exactly as they were when they were listed last */
    int64_t nold;        /* of these before the horizon */
    int64_t nchanged;
};

/* --- marks as bytes --- */

struct files_mark files_mark_of(const char *path, int64_t size, int64_t modified_micros)
{
    uint64_t numbers[2] = {(uint64_t)size, (uint64_t)modified_micros};
    uint8_t bytes[MARK_SIZE];
    for (int i = 0; i < MARK_SIZE; i++)
        bytes[i] = (uint8_t)(numbers[i / 8] >> (8 * (i % 8)));
    size_t length = strlen(path);
    /* The path is in both, under different seeds: to be taken for another, two hashes must agree. */
    uint64_t second = mr_hash64_seed(path, length, UINT64_C(0x6D696C6C72616365));
    return (struct files_mark){mr_hash64(path, length), mr_hash64_seed(bytes, MARK_SIZE, second),
                               modified_micros};
}

static void put_marks(struct mr_bytes *bytes, const struct files_mark *marks, int64_t count,
                      bool times)
{
    mr_bytes_varint(bytes, (uint64_t)count);
    for (int64_t i = 0; i < count; i++) {
        mr_bytes_u64le(bytes, marks[i].name);
        mr_bytes_u64le(bytes, marks[i].state);
        if (times)
            mr_bytes_u64le(bytes, (uint64_t)marks[i].modified);
    }
}

enum mr_status files_known_write(const struct files_known *known, struct mr_arena *arena,
                                 struct mr_slice *out, struct mr_error *err)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, (size_t)256 << 20);
    mr_bytes_u8(&bytes, known->has_horizon ? WITH_HORIZON : VERSION);
    mr_bytes_lenpref_text(&bytes, known->place);
    mr_bytes_u64le(&bytes, (uint64_t)known->newest);
    if (known->has_horizon)
        mr_bytes_u64le(&bytes, (uint64_t)known->horizon);
    put_marks(&bytes, known->listed, known->nlisted, known->has_horizon);
    put_marks(&bytes, known->gone, known->ngone, known->has_horizon);
    mr_bytes_seal(&bytes, 0);
    return mr_bytes_settle(&bytes, arena, out, err);
}

static bool get_marks(struct mr_byte_reader *reader, const struct files_known *known,
                      struct mr_arena *arena, int64_t *count, struct files_mark **out,
                      struct mr_error *err)
{
    uint64_t n = mr_byte_reader_varint(reader);
    if (reader->bad || n > (uint64_t)(reader->end - reader->at) / MARK_SIZE)
        return false;
    *out = mr_arena_alloc(arena, (size_t)(n + 1) * sizeof **out);
    if (*out == NULL) {
        mr_error_nomem(err);
        return false;
    }
    *count = (int64_t)n;
    for (uint64_t i = 0; i < n; i++) {
        (*out)[i].name = mr_byte_reader_u64le(reader);
        (*out)[i].state = mr_byte_reader_u64le(reader);
        (*out)[i].modified =
            known->has_horizon ? (int64_t)mr_byte_reader_u64le(reader) : known->newest;
    }
    return !reader->bad;
}

bool files_known_read(struct mr_slice bytes, struct mr_arena *arena, struct files_known *out,
                      struct mr_error *err)
{
    struct mr_byte_reader reader;
    *out = (struct files_known){.newest = INT64_MIN};
    if (!mr_byte_reader_unseal(&reader, bytes))
        return false;
    uint8_t version = mr_byte_reader_u8(&reader);
    struct mr_slice place = mr_byte_reader_lenpref(&reader);
    out->newest = (int64_t)mr_byte_reader_u64le(&reader);
    out->has_horizon = version == WITH_HORIZON;
    if (out->has_horizon)
        out->horizon = (int64_t)mr_byte_reader_u64le(&reader);
    if (reader.bad || (version != VERSION && version != WITH_HORIZON))
        return false;
    out->place = mr_arena_strndup(arena, place.data, place.size);
    if (out->place == NULL) {
        mr_error_nomem(err);
        return false;
    }
    if (!get_marks(&reader, out, arena, &out->nlisted, &out->listed, err) ||
        !get_marks(&reader, out, arena, &out->ngone, &out->gone, err))
        return false;
    for (int64_t i = 1; i < out->nlisted; i++)
        if (out->listed[i - 1].name > out->listed[i].name)
            return false;
    return mr_byte_reader_done(&reader);
}

static int by_name(const void *a, const void *b)
{
    const struct files_mark *left = a, *right = b;
    if (left->name != right->name)
        return left->name < right->name ? -1 : 1;
    return left->state < right->state ? -1 : left->state > right->state;
}

/* The first mark of a name in a sorted list; *count of them. */
static const struct files_mark *find(const struct files_mark *marks, int64_t count, uint64_t name)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (marks[middle].name < name)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && marks[low].name == name ? &marks[low] : NULL;
}

static bool holds(const struct files_mark *marks, int64_t count, struct files_mark mark)
{
    const struct files_mark *at = find(marks, count, mark.name);
    for (; at != NULL && at < marks + count && at->name == mark.name; at++)
        if (at->state == mark.state)
            return true;
    return false;
}

/* --- bind --- */

static enum mr_status bad_time(const struct files_incremental *work, const char *text, bool initial,
                               struct mr_error *err)
{
    if (initial)
        return mr_options_error(work->options, "initial", err,
                                "\"%s\" is no time (\"2024-05-01\", \"2024-05-01 12:00:00\")",
                                text);
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "the watermark \"%s\" is no time (\"2024-05-01 12:00:00.000000\", UTC)", text);
    mr_error_hint(err, "set another with `millrace watermark set`, or run with --fresh");
    return MR_SOURCE;
}

/* Files before this time count as read. */
static enum mr_status begin_at(struct files_source *source, const char *text, bool initial,
                               struct mr_error *err)
{
    struct files_incremental *work = source->incremental;
    struct mr_value value;
    if (!mr_hive_value(text, mr_type_of(MR_TYPE_TIMESTAMP), initial ? source->tz : NULL, &value) ||
        value.is_null)
        return bad_time(work, text, initial, err);
    work->has_from = true;
    work->inclusive = !initial;
    work->from = value.u.i64;
    return MR_OK;
}

enum mr_status files_incremental_check(struct files_source *source,
                                       const struct mr_source_bind *bind, struct mr_error *err)
{
    const struct mr_option_value *value = mr_options_get(bind->options, "incremental");
    if (!value->set)
        return MR_OK;
    struct files_incremental *work = mr_arena_calloc(source->arena, 1, sizeof *work);
    if (work == NULL)
        return mr_error_nomem(err);
    work->options = value->u.object;
    work->read_changed = mr_options_integer(work->options, "changed", 0) == 1;
    work->before.newest = work->newest = INT64_MIN;
    work->age = mr_options_integer(work->options, "maxFileAge", 0);
    work->since = bind->since;
    source->incremental = work;
    const char *initial = mr_options_text(work->options, "initial");
    if (bind->since.size > 0)
        return MR_OK;
    if (bind->since_text != NULL && bind->since_text[0] != '\0')
        return begin_at(source, bind->since_text, false, err);
    return initial != NULL ? begin_at(source, initial, true, err) : MR_OK;
}

static enum mr_status refuse(const struct files_source *source, const char *why,
                             struct mr_error *err)
{
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG, "%s: %s", source->location.text, why);
    mr_error_hint(err, "run with --fresh to read from the beginning, or say with `millrace "
                       "watermark set` from which time on files are new");
    return MR_SOURCE;
}

static enum mr_status read_before(struct files_source *source, struct mr_slice since,
                                  struct mr_error *err)
{
    struct files_incremental *work = source->incremental;
    struct mr_error cause = {0};
    if (since.size == 0)
        return MR_OK;
    if (!files_known_read(since, source->arena, &work->before, &cause)) {
        if (cause.status == MR_NOMEM)
            return mr_error_nomem(err);
        return refuse(source, "the list of files that were read is damaged, or of another version",
                      err);
    }
    if (strcmp(work->before.place, source->place.url) != 0) {
        const char *why =
            mr_arena_printf(source->arena,
                            "the last run read below %s: which files are new here is not known",
                            work->before.place);
        return why ? refuse(source, why, err) : mr_error_nomem(err);
    }
    int64_t ngone = work->before.ngone;
    work->gone = mr_arena_alloc(source->arena, (size_t)(ngone + 1) * sizeof *work->gone);
    if (work->gone == NULL)
        return mr_error_nomem(err);
    if (ngone > 0) {
        memcpy(work->gone, work->before.gone, (size_t)ngone * sizeof *work->gone);
        qsort(work->gone, (size_t)ngone, sizeof *work->gone, by_name);
    }
    return MR_OK;
}

static enum mr_status changed(const struct files_source *source, const struct mr_store_entry *entry,
                              struct mr_error *err)
{
    char time[MR_TIME_TEXT_MAX];
    mr_timestamp_format(entry->modified_micros, ' ', time);
    mr_error_set(err, MR_SOURCE, MR_CLASS_CONFIG,
                 "%s was read by an earlier run and has changed since: now %lld bytes of %s UTC",
                 files_name(source, source->arena, entry->path), (long long)entry->size, time);
    mr_error_hint(err, "write new rows into new files, or give `incremental: {changed: read}`, "
                       "which reads such a file again from its beginning");
    return MR_SOURCE;
}

static enum mr_status remember(struct files_source *source, struct files_mark mark,
                               struct mr_error *err)
{
    struct files_incremental *work = source->incremental;
    if (work->nseen >= FILES_KNOWN_MOST) {
        mr_error_set(err, MR_LIMIT, MR_CLASS_CONFIG,
                     "%s: more than %lld files; incremental reading remembers no more",
                     source->location.text, (long long)FILES_KNOWN_MOST);
        mr_error_hint(err, "move files away that were read, narrow the path by a pattern, or say "
                           "with `incremental: {maxFileAge: ..}` how late a file may come");
        return MR_LIMIT;
    }
    if (work->nseen == work->capacity) {
        int64_t capacity = work->capacity > 0 ? 2 * work->capacity : work->before.nlisted + 64;
        struct files_mark *more = mr_arena_alloc(source->arena, (size_t)capacity * sizeof *more);
        if (more == NULL)
            return mr_error_nomem(err);
        if (work->nseen > 0)
            memcpy(more, work->seen, (size_t)work->nseen * sizeof *more);
        work->seen = more;
        work->capacity = capacity;
    }
    work->seen[work->nseen++] = mark;
    return MR_OK;
}

/*
 * A schema that is found from the files is found from those that are known too, and the types of partition columns from all directories; with
 * a given one the first file is enough, which says how the directories are called.
 */
static bool is_asked(const struct files_source *source)
{
    return source->given == NULL || source->nentries == 0;
}

enum mr_status files_incremental_see(struct files_source *source,
                                     const struct mr_store_entry *entry, bool *known, bool *keep,
                                     struct mr_error *err)
{
    struct files_incremental *work = source->incremental;
    const struct files_known *before = &work->before;
    struct files_mark mark = files_mark_of(entry->path, entry->size, entry->modified_micros);
    bool old = work->has_horizon && entry->modified_micros < work->horizon;
    bool listed = !old && holds(before->listed, before->nlisted, mark);
    *known = old || listed || holds(work->gone, before->ngone, mark) ||
             (work->has_from && (entry->modified_micros < work->from ||
                                 (work->inclusive && entry->modified_micros == work->from)));
    *keep = !*known || is_asked(source);
    work->nfiles++;
    work->nold += old;
    work->nknown += *known;
    work->nremembered += listed;
    if (!old)
        MR_TRY(remember(source, mark, err));
    if (*known)
        return MR_OK;
    if (entry->modified_micros > work->newest)
        work->newest = entry->modified_micros;
    if (find(before->listed, before->nlisted, mark.name) == NULL)
        return MR_OK;
    work->nchanged++;
    return work->read_changed ? MR_OK : changed(source, entry, err);
}

static const char *guarantee(const struct files_incremental *work)
{
    if (work->age > 0)
        return work->read_changed
                   ? "every file at least once that is there before one is read that is newer by "
                     "maxFileAge; one that was changed is read again from its beginning"
                   : "every file exactly once that is there before one is read that is newer by "
                     "maxFileAge; one that was changed stops the run";
    if (work->read_changed)
        return "every file at least once, whatever its name and time: files are remembered one by "
               "one; one that was changed is read again from its beginning";
    return "every file exactly once, whatever its name and time: files are remembered one by one; "
           "one that was changed stops the run";
}

/*
 * By the newest file, or the clock where that is behind it: a file of the future must not make all others old. The clock of the run that has read
 * it: with ours the horizon would move while nobody reads.
 */
static void find_horizon(struct files_incremental *work)
{
    const struct files_known *before = &work->before;
    work->now = mr_clock_wall_micros();
    work->has_horizon = before->has_horizon || work->age > 0;
    work->horizon = before->has_horizon ? before->horizon : INT64_MIN;
    if (work->age <= 0 || before->newest == INT64_MIN)
        return;
    int64_t least = (before->newest < work->now ? before->newest : work->now) - work->age;
    if (least > work->horizon)
        work->horizon = least;
}

enum mr_status files_incremental_begin(struct files_source *source,
                                       const struct mr_source_bind *bind,
                                       struct mr_source_info *info, struct mr_error *err)
{
    struct files_incremental *work = source->incremental;
    if (work == NULL)
        return MR_OK;
    info->guarantee = guarantee(work);
    info->repeats = work->read_changed;
    MR_TRY(read_before(source, bind->since, err));
    find_horizon(work);
    return MR_OK;
}

const char *files_incremental_note(const struct files_source *source, struct mr_arena *arena)
{
    const struct files_incremental *work = source->incremental;
    if (work == NULL)
        return NULL;
    const char *which = !work->has_from ? "were read by earlier runs"
                                        : "are from before the beginning that was set";
    if (work->nchanged > 0)
        return mr_arena_printf(arena,
                               "incremental: %lld of %lld files %s; %lld have changed and are read "
                               "again",
                               (long long)work->nknown, (long long)work->nfiles, which,
                               (long long)work->nchanged);
    if (work->nold > 0)
        return mr_arena_printf(arena,
                               "incremental: %lld of %lld files %s, %lld of them by maxFileAge "
                               "alone",
                               (long long)work->nknown, (long long)work->nfiles, which,
                               (long long)work->nold);
    return mr_arena_printf(arena, "incremental: %lld of %lld files %s", (long long)work->nknown,
                           (long long)work->nfiles, which);
}

/* --- where the run ends --- */

static bool is_behind(const struct files_incremental *work, const struct files_mark *mark)
{
    return !work->has_horizon || mark->modified >= work->horizon;
}

/* What was there and is no more, then what had gone before and has not come back. */
static enum mr_status list_gone(const struct files_incremental *work, struct files_known *end,
                                struct mr_arena *arena, struct mr_error *err)
{
    const struct files_known *before = &work->before;
    int64_t most = before->nlisted + before->ngone;
    most = most < FILES_GONE_MOST ? most : FILES_GONE_MOST;
    end->gone = mr_arena_alloc(arena, (size_t)(most + 1) * sizeof *end->gone);
    if (end->gone == NULL)
        return mr_error_nomem(err);
    for (int64_t i = 0; i < before->nlisted && end->ngone < most; i++)
        if (is_behind(work, &before->listed[i]) &&
            find(end->listed, end->nlisted, before->listed[i].name) == NULL)
            end->gone[end->ngone++] = before->listed[i];
    for (int64_t i = 0; i < before->ngone && end->ngone < most; i++)
        if (is_behind(work, &before->gone[i]) &&
            find(end->listed, end->nlisted, before->gone[i].name) == NULL)
            end->gone[end->ngone++] = before->gone[i];
    return MR_OK;
}

/* Nothing came, nothing went: the position stays as it is. */
static bool is_same(const struct files_incremental *work)
{
    const struct files_known *before = &work->before;
    return work->since.size > 0 && work->nknown == work->nfiles &&
           work->nremembered == work->nseen && work->nseen == before->nlisted &&
           work->has_horizon == before->has_horizon &&
           (!work->has_horizon || work->horizon == before->horizon);
}

enum mr_status files_incremental_end(const struct files_source *source, struct mr_arena *arena,
                                     struct mr_split_list *out, struct mr_error *err)
{
    const struct files_incremental *work = source->incremental;
    if (work == NULL)
        return MR_OK;
    struct files_known end = {.place = source->place.url,
                              .newest = work->before.newest,
                              .has_horizon = work->has_horizon,
                              .horizon = work->horizon,
                              .listed = work->seen,
                              .nlisted = work->nseen};
    if (work->has_from && work->inclusive && work->from > end.newest)
        end.newest = work->from;
    if (work->newest > end.newest)
        end.newest = work->newest;
    if (work->age > 0 && end.newest > work->now)
        end.newest = work->now;
    if (is_same(work)) {
        out->upto = work->since;
    } else {
        if (end.nlisted > 1)
            qsort(end.listed, (size_t)end.nlisted, sizeof *end.listed, by_name);
        MR_TRY(list_gone(work, &end, arena, err));
        MR_TRY(files_known_write(&end, arena, &out->upto, err));
    }
    char time[MR_TIME_TEXT_MAX] = "";
    if (end.newest != INT64_MIN)
        mr_timestamp_format(end.newest, ' ', time);
    out->upto_text = mr_arena_strdup(arena, time);
    return out->upto_text ? MR_OK : mr_error_nomem(err);
}
