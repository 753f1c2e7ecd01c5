/*
 * verify.c - compares what a target holds with what its loads counted.
 *
 * The ledger says what should be there after the last committed epoch. A run that commits while the
 * target is read would show as a difference, so the epoch is looked at again after the reading, and
 * the reading repeated when it has moved. No lease is taken: looking must not keep a run waiting.
 *
 * A stream that is shared has a ledger of each lane: sums and counts of all of them are added up.
 */
#include "run/verify.h"

#include "run/group.h"
#include "run/verify_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ATTEMPTS 3

struct verify {
    struct mr_session *session;
    const struct mr_verify_options *options;
    struct mr_state *state;
    struct mr_ledger *ledgers;
    int nledgers;
    const char **keys; /* of the state: the pipeline's, and those of its lanes */
    int64_t *epochs;
    int nkeys;
};

/* What one load is being compared with. */
struct comparison {
    struct mr_arena *arena;
    struct mr_verified *out;
    const struct mr_ledger *ledger;
    const struct mr_verify_reading *found;
    const struct mr_type *range_type;
    int most;
    bool rows_compare; /* every column is compared, so sums of rows mean something */
    struct mr_verified_place *places;
};

/* ---- places ---- */

static enum mr_status add_place(struct comparison *with, struct mr_bytes *text, int64_t loaded,
                                int64_t found, struct mr_bytes *row, struct mr_error *err)
{
    struct mr_verified *out = with->out;
    if (out->nplaces == with->most) {
        out->places_left_out++;
        return MR_OK;
    }
    MR_TRY(mr_bytes_status(text, err));
    struct mr_verified_place *place = &with->places[out->nplaces++];
    *place = (struct mr_verified_place){.rows_loaded = loaded, .rows_found = found};
    place->text = mr_arena_strndup(with->arena, text->data, text->size);
    if (row && row->size)
        place->row = mr_arena_strndup(with->arena, row->data, row->size);
    return place->text && (!row || !row->size || place->row) ? MR_OK : mr_error_nomem(err);
}

/* One row too many or too few: the sums of values differ by its value. */
static void name_row(const struct comparison *with, const struct mr_content_range *loaded,
                     const struct mr_content_range *found, int shift, struct mr_bytes *out)
{
    uint64_t value = loaded->values - found->values;
    if (found->rows > loaded->rows)
        value = 0 - value;
    int64_t key = found->rows > loaded->rows ? found->key : loaded->key;
    if (llabs(found->rows - loaded->rows) != 1 || (int64_t)value >> shift != key)
        return;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    if (mr_content_value_text(with->range_type, value, &text) && text.status == MR_OK)
        mr_bytes_printf(out, "%s %.*s", with->ledger->range, (int)text.size, text.data);
    mr_bytes_reset(&text);
}

static enum mr_status compare_range(struct comparison *with, const struct mr_content_range *loaded,
                                    const struct mr_content_range *found, int shift,
                                    struct mr_error *err)
{
    struct mr_content_range none = {0};
    bool same = loaded && found && loaded->rows == found->rows && loaded->sum == found->sum;
    if (same)
        return MR_OK;
    const struct mr_content_range *a = loaded ? loaded : &none, *b = found ? found : &none;
    struct mr_bytes text, row;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_init(&row, 1 << 16);
    mr_bytes_printf(&text, "%s ", with->ledger->range);
    mr_content_range_text(with->range_type, loaded ? loaded->key : found->key, shift, &text);
    name_row(with, a, b, shift, &row);
    enum mr_status status = add_place(with, &text, a->rows, b->rows, &row, err);
    mr_bytes_reset(&text);
    mr_bytes_reset(&row);
    return status;
}

static enum mr_status compare_ranges(struct comparison *with, struct mr_error *err)
{
    struct mr_content *loaded = with->ledger->content, *found = with->found->content;
    int shift = loaded->shift > found->shift ? loaded->shift : found->shift;
    mr_content_coarsen(loaded, shift);
    mr_content_coarsen(found, shift);
    mr_content_sort(loaded);
    mr_content_sort(found);
    int i = 0, k = 0;
    while (i < loaded->nranges || k < found->nranges) {
        const struct mr_content_range *a = i < loaded->nranges ? &loaded->ranges[i] : NULL;
        const struct mr_content_range *b = k < found->nranges ? &found->ranges[k] : NULL;
        if (a && b && a->key != b->key) {
            if (a->key < b->key)
                b = NULL;
            else
                a = NULL;
        }
        MR_TRY(compare_range(with, a, b, shift, err));
        i += a != NULL;
        k += b != NULL;
    }
    const struct mr_content_range *a = &loaded->no_value, *b = &found->no_value;
    if (a->rows == b->rows && a->sum == b->sum)
        return MR_OK;
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_printf(&text, "%s NULL", with->ledger->range);
    enum mr_status status = add_place(with, &text, a->rows, b->rows, NULL, err);
    mr_bytes_reset(&text);
    return status;
}

static enum mr_status add_partition(struct comparison *with, const char *label, int64_t loaded,
                                    int64_t found, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    mr_bytes_text(&text, label);
    enum mr_status status = add_place(with, &text, loaded, found, NULL, err);
    mr_bytes_reset(&text);
    return status;
}

/* `*different` counts those that were loaded and are not as they were. */
static enum mr_status compare_partitions(struct comparison *with, bool others_count,
                                         int64_t *different, struct mr_error *err)
{
    struct mr_content *loaded = with->ledger->content, *found = with->found->content;
    mr_content_sort(loaded);
    mr_content_sort(found);
    int i = 0, k = 0;
    while (i < loaded->npartitions || k < found->npartitions) {
        struct mr_content_partition *a = i < loaded->npartitions ? &loaded->partitions[i] : NULL;
        struct mr_content_partition *b = k < found->npartitions ? &found->partitions[k] : NULL;
        int order = a && b ? strcmp(a->label, b->label) : 0;
        if (order < 0)
            b = NULL;
        if (order > 0)
            a = NULL;
        i += a != NULL;
        k += b != NULL;
        if (!a && !others_count) {
            with->out->rows_other += b->rows;
            continue;
        }
        bool same = a && b && a->rows == b->rows && (a->sum == b->sum || !with->rows_compare);
        if (same || (a && !b && a->rows == 0))
            continue;
        ++*different;
        MR_TRY(add_partition(with, a ? a->label : b->label, a ? a->rows : 0, b ? b->rows : 0, err));
    }
    return MR_OK;
}

/* ---- scopes ---- */

static enum mr_status compare_columns(struct comparison *with, bool *different,
                                      struct mr_error *err)
{
    const struct mr_verify_reading *found = with->found;
    const struct mr_content *loaded = with->ledger->content;
    int n = found->schema->nfields;
    struct mr_verified_column *columns =
        mr_arena_calloc(with->arena, (size_t)n + 1, sizeof *columns);
    if (!columns)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        const struct mr_content_column *a = &loaded->columns[i], *b = &found->content->columns[i];
        bool same = a->nulls == b->nulls && a->sum == b->sum && !found->missing[i];
        columns[i] = (struct mr_verified_column){
            .name = found->schema->fields[i].name,
            .why = found->missing[i] ? "the target has no such column" : found->why[i],
            .same = same,
            .nulls_loaded = a->nulls,
            .nulls_found = b->nulls,
        };
        *different |= found->missing[i] || (!same && !found->why[i]);
    }
    with->out->columns = columns;
    with->out->ncolumns = n;
    return MR_OK;
}

static enum mr_status compare_all(struct comparison *with, struct mr_error *err)
{
    const struct mr_content *loaded = with->ledger->content, *found = with->found->content;
    struct mr_verified *out = with->out;
    bool columns_differ = false;
    int64_t partitions_differ = 0;
    out->rows_loaded = loaded->rows;
    out->rows_found = found->rows;
    MR_TRY(compare_columns(with, &columns_differ, err));
    out->moved = with->rows_compare && !columns_differ && loaded->rows == found->rows &&
                 loaded->sum != found->sum;
    bool different = loaded->rows != found->rows || columns_differ || out->moved;
    out->verdict = different             ? MR_VERIFY_DIFFERENT
                   : !with->rows_compare ? MR_VERIFY_UNKNOWN
                                         : MR_VERIFY_EQUAL;
    if (!different)
        return MR_OK;
    if (with->rows_compare && loaded->npartitions > 0 && !loaded->partitions_full &&
        !found->partitions_full)
        MR_TRY(compare_partitions(with, true, &partitions_differ, err));
    return with->rows_compare && with->range_type ? compare_ranges(with, err) : MR_OK;
}

static enum mr_status compare_written(struct comparison *with, struct mr_error *err)
{
    const struct mr_content *loaded = with->ledger->content;
    struct mr_verified *out = with->out;
    int64_t different = 0;
    for (int i = 0; i < loaded->npartitions; i++)
        out->rows_loaded += loaded->partitions[i].rows;
    if (with->found->content->partitions_full) {
        out->verdict = MR_VERIFY_UNKNOWN;
        out->why = "the target has too many partitions to keep account of each";
        return MR_OK;
    }
    MR_TRY(compare_partitions(with, false, &different, err));
    out->rows_found = with->found->content->rows - out->rows_other;
    out->verdict = different > 0         ? MR_VERIFY_DIFFERENT
                   : !with->rows_compare ? MR_VERIFY_UNKNOWN
                                         : MR_VERIFY_EQUAL;
    return MR_OK;
}

static enum mr_status add_key(struct comparison *with, const struct mr_content_key *key,
                              bool missing, struct mr_error *err)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 16);
    if (with->range_type) {
        mr_bytes_printf(&text, "%s ", with->ledger->range);
        if (!mr_content_value_text(with->range_type, (uint64_t)key->value, &text))
            mr_content_range_text(with->range_type, key->value, 0, &text);
    } else {
        mr_bytes_text(&text, "a row");
    }
    enum mr_status status = add_place(with, &text, 1, missing ? 0 : 1, NULL, err);
    mr_bytes_reset(&text);
    return status;
}

static int by_value(const void *a, const void *b)
{
    const struct mr_content_key *left = a, *right = b;
    return (left->value > right->value) - (left->value < right->value);
}

/* The keys of both are the same, in the same order, until they are put into that of their values. */
static enum mr_status compare_keys(struct comparison *with, struct mr_error *err)
{
    const struct mr_content *loaded = with->ledger->content, *found = with->found->content;
    struct mr_verified *out = with->out;
    int nbad = 0;
    out->rows_loaded = loaded->nkeys;
    out->sampled = loaded->bound != UINT64_MAX;
    for (int i = 0; i < loaded->nkeys; i++) {
        const struct mr_content_key *key = &found->keys[i];
        bool changed = key->seen && with->rows_compare && key->row != loaded->keys[i].row;
        out->missing += !key->seen;
        out->changed += changed;
        if (!key->seen || changed)
            found->keys[nbad++] = *key;
    }
    qsort(found->keys, (size_t)nbad, sizeof *found->keys, by_value);
    for (int i = 0; i < nbad; i++)
        MR_TRY(add_key(with, &found->keys[i], !found->keys[i].seen, err));
    out->rows_found = out->rows_loaded - out->missing;
    out->verdict = out->missing + out->changed > 0 ? MR_VERIFY_DIFFERENT
                   : !with->rows_compare           ? MR_VERIFY_UNKNOWN
                                                   : MR_VERIFY_EQUAL;
    return MR_OK;
}

static void compare_counts(struct comparison *with)
{
    struct mr_verified *out = with->out;
    out->rows_loaded = with->ledger->content->rows;
    out->rows_found = with->found->content->rows;
    out->verdict = out->rows_loaded == out->rows_found ? MR_VERIFY_UNKNOWN : MR_VERIFY_DIFFERENT;
    out->why = with->ledger->text;
}

static enum mr_status compare(struct comparison *with, struct mr_error *err)
{
    with->rows_compare = true;
    for (int i = 0; i < with->found->schema->nfields; i++)
        with->rows_compare &= !with->found->why[i] && !with->found->missing[i];
    int range = with->ledger->range ? mr_schema_find(with->found->schema, with->ledger->range) : -1;
    if (range >= 0 && !with->found->why[range] && !with->found->missing[range])
        with->range_type = with->found->schema->fields[range].type;
    if (!with->rows_compare)
        with->out->why = "not every column can be compared, so rows as a whole are not";
    switch (with->ledger->scope) {
    case MR_LEDGER_ALL:
    case MR_LEDGER_WHERE:
        return compare_all(with, err);
    case MR_LEDGER_PARTITIONS:
        return compare_written(with, err);
    case MR_LEDGER_KEYS:
        return compare_keys(with, err);
    default:
        compare_counts(with);
        return MR_OK;
    }
}

/* ---- loads ---- */

static struct mr_ledger *find_ledger(struct verify *verify, const struct mr_step_spec *load,
                                     const char *target)
{
    for (int i = 0; i < verify->nledgers; i++)
        if (strcmp(verify->ledgers[i].step, load->key) == 0 &&
            strcmp(verify->ledgers[i].target, target) == 0)
            return &verify->ledgers[i];
    return NULL;
}

static enum mr_status verify_load(struct verify *verify, const struct mr_step_spec *load,
                                  struct mr_verified *out, struct mr_error *err)
{
    struct mr_verify_reading found = {0};
    struct mr_session *session = verify->session;
    *out = (struct mr_verified){.step = load, .verdict = MR_VERIFY_UNKNOWN};
    out->target = mr_ledger_target(load, &session->arena);
    if (!out->target)
        return mr_error_nomem(err);
    out->ledger = find_ledger(verify, load, out->target);
    if (!out->ledger) {
        out->why = "nothing was counted for this target: \"verify\": true makes runs do it";
        return MR_OK;
    }
    if (out->ledger->scope == MR_LEDGER_NONE) {
        out->why = out->ledger->text;
        return MR_OK;
    }
    enum mr_status status = mr_verify_read(session, load, out->ledger, &found, &out->why, err);
    if (status == MR_OK && found.content) {
        struct comparison with = {.arena = &session->arena,
                                  .out = out,
                                  .ledger = out->ledger,
                                  .found = &found,
                                  .most = verify->options->most_places};
        with.places = mr_arena_calloc(&session->arena, (size_t)with.most + 1, sizeof *with.places);
        out->places = with.places;
        status = with.places ? compare(&with, err) : mr_error_nomem(err);
    }
    mr_content_free(found.content);
    if (status == MR_CONFIG && err) {
        /* The target is not there, or not what it was: no reason to leave the others out. */
        out->why = mr_arena_strdup(&session->arena, err->message);
        *err = (struct mr_error){0};
        return out->why ? MR_OK : mr_error_nomem(err);
    }
    if (status != MR_OK && err && !err->where[0])
        mr_error_where(err, "%s", load->label);
    return status;
}

static enum mr_status verify_all(struct verify *verify, struct mr_verified *out, int *count,
                                 struct mr_error *err)
{
    const struct mr_spec *spec = verify->session->spec;
    *count = 0;
    for (int i = 0; i < spec->nsteps; i++)
        if (spec->steps[i].type == MR_STEP_LOAD && spec->steps[i].method->sink &&
            (!verify->options->load || mr_step_is_called(&spec->steps[i], verify->options->load)))
            MR_TRY(verify_load(verify, &spec->steps[i], &out[(*count)++], err));
    if (*count > 0)
        return MR_OK;
    return verify->options->load
               ? mr_error_config(err, "no load is called \"%s\"", verify->options->load)
               : mr_error_config(err, "the pipeline has no load");
}

/* The epoch of a state key that the targets should be at. */
static enum mr_status last_epoch(struct verify *verify, const char *key, int64_t *out,
                                 struct mr_error *err)
{
    struct mr_epoch_record record;
    MR_TRY(mr_state_load_epoch(verify->state, key, 0, &verify->session->arena, &record, err));
    *out = record.phase == MR_EPOCH_NONE ? 0 : record.epoch;
    if (record.phase != MR_EPOCH_PREPARED)
        return MR_OK;
    mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT,
                 "the commit of run %s is under way, or was interrupted", record.run_id);
    mr_error_hint(err, "if no run is active, run the pipeline: it finishes that commit");
    return MR_BUSY;
}

static enum mr_status find_keys(struct verify *verify, struct mr_error *err)
{
    struct mr_arena *arena = &verify->session->arena;
    const char *key = verify->session->spec->state_key;
    struct mr_group_lane *lanes = NULL;
    int nlanes = 0;
    MR_TRY(mr_group_lanes(verify->state, key, arena, &lanes, &nlanes, err));
    verify->nkeys = nlanes + 1;
    verify->keys = mr_arena_calloc(arena, (size_t)verify->nkeys, sizeof *verify->keys);
    verify->epochs = mr_arena_calloc(arena, (size_t)verify->nkeys, sizeof *verify->epochs);
    if (!verify->keys || !verify->epochs)
        return mr_error_nomem(err);
    verify->keys[0] = key;
    for (int i = 0; i < nlanes; i++)
        verify->keys[i + 1] = lanes[i].key;
    return MR_OK;
}

static void forget_ledgers(struct verify *verify)
{
    for (int i = 0; i < verify->nledgers; i++) {
        mr_content_free(verify->ledgers[i].content);
        verify->ledgers[i].content = NULL;
    }
}

static struct mr_ledger *find_same(struct verify *verify, const struct mr_ledger *ledger)
{
    for (int i = 0; i < verify->nledgers; i++)
        if (strcmp(verify->ledgers[i].name, ledger->name) == 0)
            return &verify->ledgers[i];
    return NULL;
}

/* Those of one key, beside what others have loaded. */
static enum mr_status add_ledgers(struct verify *verify, int which, struct mr_error *err)
{
    struct mr_arena *arena = &verify->session->arena;
    struct mr_ledger *own = NULL;
    int nown = 0, i = 0;
    MR_TRY(mr_ledger_load(verify->session, verify->state, verify->keys[which],
                          verify->epochs[which], &own, &nown, err));
    size_t room = (size_t)verify->nledgers + (size_t)nown + 1;
    struct mr_ledger *all = mr_arena_calloc(arena, room, sizeof *all);
    enum mr_status status = all ? MR_OK : mr_error_nomem(err);
    for (int k = 0; all && k < verify->nledgers; k++)
        all[k] = verify->ledgers[k];
    if (all)
        verify->ledgers = all;
    for (; status == MR_OK && i < nown; i++) {
        struct mr_ledger *known = find_same(verify, &own[i]);
        if (known)
            status = mr_ledger_unite(known, &own[i], err);
        else
            verify->ledgers[verify->nledgers++] = own[i];
        if (known)
            mr_content_free(own[i].content);
    }
    for (; i < nown; i++)
        mr_content_free(own[i].content);
    return status;
}

static enum mr_status attempt(struct verify *verify, struct mr_verified *out, int *count,
                              bool *moved, struct mr_error *err)
{
    enum mr_status status = MR_OK;
    verify->nledgers = 0;
    *moved = false;
    MR_TRY(find_keys(verify, err));
    for (int i = 0; i < verify->nkeys; i++)
        MR_TRY(last_epoch(verify, verify->keys[i], &verify->epochs[i], err));
    for (int i = 0; i < verify->nkeys && status == MR_OK; i++)
        status = add_ledgers(verify, i, err);
    if (status == MR_OK)
        status = verify_all(verify, out, count, err);
    forget_ledgers(verify);
    int nkeys = verify->nkeys;
    for (int i = 0; i < nkeys && status == MR_OK; i++) {
        int64_t after = 0;
        status = last_epoch(verify, verify->keys[i], &after, err);
        *moved |= after != verify->epochs[i];
    }
    if (status == MR_OK)
        status = find_keys(verify, err);
    *moved |= nkeys != verify->nkeys;
    return status;
}

/* Looking does not make a state. */
static enum mr_status has_state(struct mr_session *session, struct mr_error *err)
{
    struct stat info;
    if (!session->state_path)
        return MR_OK;
    const char *path = mr_arena_printf(&session->arena, "%s/state.db", session->state_path);
    if (!path)
        return mr_error_nomem(err);
    if (stat(path, &info) == 0)
        return MR_OK;
    return mr_error_config(err, "there is no state in %s: the pipeline has not run, or not there",
                           session->state_path);
}

enum mr_status mr_verify(struct mr_session *session, const struct mr_verify_options *options,
                         struct mr_verified **out, int *count, struct mr_error *err)
{
    struct verify verify = {.session = session, .options = options};
    size_t most = (size_t)session->spec->nsteps + 1;
    *count = 0;
    *out = mr_arena_calloc(&session->arena, most, sizeof **out);
    if (!*out)
        return mr_error_nomem(err);
    MR_TRY(mr_session_fetch_credentials(session, NULL, err));
    MR_TRY(mr_spec_need_credentials(session->spec, err));
    MR_TRY(has_state(session, err));
    MR_TRY(mr_session_look_at_state(session, &verify.state, err));
    bool moved = true;
    enum mr_status status = MR_OK;
    for (int i = 0; i < ATTEMPTS && moved && status == MR_OK; i++)
        status = attempt(&verify, *out, count, &moved, err);
    if (status == MR_OK && moved)
        status = mr_error_set(err, MR_BUSY, MR_CLASS_TRANSIENT,
                              "the targets were loaded each time they were read");
    if (status == MR_BUSY && verify.nkeys > 1)
        mr_error_hint(err, "stop the processes of the group while this looks (SIGTERM: they commit "
                           "what they have begun)");
    mr_state_close(verify.state);
    return status;
}
