/*
 * watermark.c - where incremental reading of a pipeline has ended, shown and set.
 *
 * Setting replaces the record of the last epoch under its number, with the step's text and without its bytes: the next bind gets the text and
 * says what it is worth. It leaves a row among the runs, so that `millrace runs` tells who moved what. An epoch that is still to be
 * finished is not touched: its rows are read, and its positions belong to them.
 *
 * A stream that is shared has a record for each lane. They are shown one by one, and set one by one, each under its own lease, by a session of that
 * lane. Refused: to divide one value among all lanes. Half of them could have moved when the lease of the next one is taken.
 */
#include "api/watermark.h"

#include "base/time.h"
#include "run/group.h"
#include "run/kept.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RUNS_MOST 200
#define SET       "watermark of "

static bool has_state(const struct mr_session *session)
{
    struct stat info;
    struct mr_bytes path;
    if (!session->state_path)
        return true;
    mr_bytes_init(&path, 1 << 16);
    mr_bytes_printf(&path, "%s/state.db", session->state_path);
    bool found = path.data && stat(path.data, &info) == 0;
    mr_bytes_reset(&path);
    return found;
}

/* The object of the option, or NULL. */
static const struct mr_options *incremental_of(const struct mr_step_spec *step)
{
    if (!mr_options_wants(step->options, "incremental"))
        return NULL;
    const struct mr_option_value *value = mr_options_get(step->options, "incremental");
    return value->option->type == MR_OPTION_OBJECT ? value->u.object : NULL;
}

static const char *initial_of(const struct mr_step_spec *step, struct mr_arena *arena)
{
    const struct mr_options *options = incremental_of(step);
    const struct mr_option *row = options ? mr_option_find(options->table, "initial") : NULL;
    if (!row || !mr_options_has(options, "initial"))
        return NULL;
    if (row->type == MR_OPTION_INT)
        return mr_arena_printf(arena, "%lld", (long long)mr_options_integer(options, "initial", 0));
    return mr_options_text(options, "initial");
}

/* --- show --- */

static const struct mr_source_position *find(const struct mr_positions *positions, const char *step)
{
    for (int i = 0; i < positions->count; i++)
        if (strcmp(positions->items[i].step, step) == 0)
            return &positions->items[i];
    return NULL;
}

static bool is_set(const struct mr_run_row *row, const char *step)
{
    size_t size = strlen(SET);
    if (!row->message || strncmp(row->message, SET, size) != 0)
        return false;
    if (!step)
        return true;
    size_t name = strlen(step);
    return strncmp(row->message + size, step, name) == 0 && row->message[size + name] == ' ';
}

/* The newest run that has set it: a person's, or one that committed. */
static const struct mr_run_row *setter(const struct mr_run_row *rows, int count, const char *step,
                                       bool by_person)
{
    for (int i = 0; i < count; i++)
        if (by_person ? is_set(&rows[i], step)
                      : strcmp(rows[i].status, "success") == 0 && !is_set(&rows[i], NULL))
            return &rows[i];
    return NULL;
}

/* What the report of that run says of the step. */
static const char *guarantee_of(const char *report, const char *label, struct mr_arena *arena)
{
    const char *found = NULL;
    json_t *root = report && label ? json_loads(report, 0, NULL) : NULL;
    json_t *step;
    size_t i;
    json_array_foreach(json_object_get(root, "steps"), i, step)
    {
        const char *name = json_string_value(json_object_get(step, "step"));
        const char *text =
            json_string_value(json_object_get(json_object_get(step, "incremental"), "guarantee"));
        if (name && text && strcmp(name, label) == 0)
            found = mr_arena_strdup(arena, text);
    }
    json_decref(root);
    return found;
}

struct showing {
    struct mr_session *session;
    struct mr_state *state;
    struct mr_arena *arena;
    struct mr_positions positions;
    struct mr_epoch_record record;
    struct mr_run_row *rows;
    int nrows;
    const char *report; /* of the last committed run */
    struct mr_api_watermarks *out;
};

/* An epoch of a stream: its record says who wrote it and when; the run may go on, or have ended in any way. */
static bool is_by_epoch(const struct mr_epoch_record *record)
{
    return record->stream && record->run_id[0] != '\0';
}

static void add(struct showing *showing, const char *step, const char *method,
                const struct mr_step_spec *spec)
{
    const struct mr_source_position *position = find(&showing->positions, step);
    struct mr_api_watermark *item = &showing->out->items[showing->out->count++];
    *item = (struct mr_api_watermark){.step = step,
                                      .method = method,
                                      .label = spec ? spec->label : NULL,
                                      .initial = spec ? initial_of(spec, showing->arena) : NULL};
    item->guarantee = guarantee_of(showing->report, item->label, showing->arena);
    if (!position || (!position->text[0] && !position->bytes.size))
        return;
    item->text = position->text;
    item->by_person = position->bytes.size == 0;
    if (is_by_epoch(&showing->record) && !item->by_person) {
        item->run_id = showing->out->run_id;
        item->time_micros = showing->out->time_micros;
        return;
    }
    const struct mr_run_row *row = setter(showing->rows, showing->nrows, step, item->by_person);
    item->run_id = row ? row->run_id : NULL;
    item->time_micros = row ? row->ended_micros : 0;
}

/* The record of `key`, and the runs that made it. */
static enum mr_status look_at(struct showing *showing, const char *key, struct mr_error *err)
{
    struct mr_api_watermarks *out = showing->out;
    struct mr_epoch_record *record = &showing->record;
    if (showing->state) {
        MR_TRY(mr_state_load_epoch(showing->state, key, 0, showing->arena, record, err));
        MR_TRY(mr_state_runs(showing->state, key, false, RUNS_MOST, showing->arena, &showing->rows,
                             &showing->nrows, err));
    }
    out->shared = mr_group_has_begun(record);
    out->unfinished = record->phase == MR_EPOCH_PREPARED;
    if (record->phase != MR_EPOCH_NONE) {
        MR_TRY(mr_positions_decode(record->positions, showing->arena, &showing->positions, err));
        out->epoch = record->epoch;
        out->safe_time = record->watermark && *record->watermark ? record->watermark : NULL;
    }
    const struct mr_run_row *last = setter(showing->rows, showing->nrows, NULL, false);
    if (is_by_epoch(record)) {
        out->run_id = record->run_id;
        out->time_micros = record->written;
    } else if (last) {
        out->run_id = last->run_id;
        out->time_micros = last->ended_micros;
    }
    if (out->run_id) {
        struct mr_run_row *whole = NULL;
        MR_TRY(mr_state_run(showing->state, out->run_id, showing->arena, &whole, err));
        showing->report = whole ? whole->report : NULL;
    }
    return MR_OK;
}

static enum mr_status look(struct showing *showing, const char *key, struct mr_error *err)
{
    const struct mr_spec *spec = showing->session->spec;
    struct mr_api_watermarks *out = showing->out;
    MR_TRY(look_at(showing, key, err));
    out->items =
        mr_arena_calloc(showing->arena, (size_t)(spec->nsteps + showing->positions.count) + 1,
                        sizeof *out->items);
    if (!out->items)
        return mr_error_nomem(err);
    for (int i = 0; i < spec->nsteps; i++)
        if (mr_step_reads_incrementally(spec, &spec->steps[i]))
            add(showing, spec->steps[i].key, spec->steps[i].method->name, &spec->steps[i]);
    int nsteps = out->count;
    for (int i = 0; i < showing->positions.count; i++) {
        const struct mr_source_position *position = &showing->positions.items[i];
        bool known = position->step[0] == '\0';
        for (int k = 0; k < nsteps; k++)
            known = known || strcmp(out->items[k].step, position->step) == 0;
        if (!known)
            add(showing, position->step, position->method, NULL);
    }
    return MR_OK;
}

static enum mr_status look_at_lanes(struct showing *showing, struct mr_error *err)
{
    struct mr_api_watermarks *all = showing->out;
    struct mr_group_lane *lanes = NULL;
    int count = 0;
    MR_TRY(mr_group_lanes(showing->state, showing->session->spec->state_key, showing->arena, &lanes,
                          &count, err));
    all->lanes = mr_arena_calloc(showing->arena, (size_t)count + 1, sizeof *all->lanes);
    if (!all->lanes)
        return mr_error_nomem(err);
    for (; all->nlanes < count; all->nlanes++) {
        struct showing one = {.session = showing->session,
                              .state = showing->state,
                              .arena = showing->arena,
                              .out = &all->lanes[all->nlanes]};
        one.out->lane = lanes[all->nlanes].name;
        MR_TRY(look(&one, lanes[all->nlanes].key, err));
    }
    return MR_OK;
}

enum mr_status mr_api_watermarks(struct millrace_pipeline *pipeline, struct mr_arena *arena,
                                 struct mr_api_watermarks *out, struct mr_error *err)
{
    struct showing showing = {.session = pipeline->session, .arena = arena, .out = out};
    *out = (struct mr_api_watermarks){.count = 0};
    if (has_state(pipeline->session))
        MR_TRY(mr_session_look_at_state(pipeline->session, &showing.state, err));
    enum mr_status status = look(&showing, pipeline->session->spec->state_key, err);
    if (status == MR_OK && out->shared)
        status = look_at_lanes(&showing, err);
    mr_state_close(showing.state);
    return status;
}

/* --- set --- */

struct setting {
    struct mr_session *session;
    struct mr_state *state;
    struct mr_lease *lease;
    const struct mr_step_spec *step; /* NULL: the pipeline's safe time */
    const char *text;                /* NULL: forget */
    const char **unchecked;
};

static enum mr_status find_step(struct setting *setting, const char *name, struct mr_error *err)
{
    const struct mr_spec *spec = setting->session->spec;
    struct mr_bytes list;
    int number = atoi(name), found = 0;
    mr_bytes_init(&list, 512);
    for (int i = 0; i < spec->nsteps; i++) {
        const struct mr_step_spec *step = &spec->steps[i];
        if (!mr_step_reads_incrementally(spec, step))
            continue;
        mr_bytes_printf(&list, "%s%s", found++ ? ", " : "", step->key);
        if (strcmp(step->key, name) == 0 || (number == i + 1 && !setting->step))
            setting->step = step;
    }
    if (!setting->step)
        mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                     "%s has no step \"%s\" that reads incrementally%s%s", spec->file, name,
                     found ? "; there are: " : "", found && list.status == MR_OK ? list.data : "");
    mr_bytes_reset(&list);
    return setting->step ? MR_OK : MR_USAGE;
}

/* "2024-05-01 12:00:00[.ffffff]": texts of this form compare as times. */
static enum mr_status check_time(const char *text, struct mr_error *err)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    size_t size = strlen(text), i = 0;
    for (; i < size && i < sizeof form - 1; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            break;
    bool good = i == sizeof form - 1;
    if (good && i < size)
        good = text[i] == '.' && size - i > 1 && size - i <= 7 &&
               strspn(text + i + 1, "0123456789") == size - i - 1;
    if (good)
        return MR_OK;
    return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                        "\"%s\" is no time for ${last_run_timestamp}: give one in UTC, like "
                        "\"2024-05-01 12:00:00\"",
                        text);
}

/* The positions without those of the step, and with the new one. */
static enum mr_status make_change(const struct setting *setting, const struct mr_positions *before,
                                  struct mr_positions *after, struct mr_error *err)
{
    struct mr_arena *arena = &setting->session->arena;
    const struct mr_source_position *old = setting->step ? find(before, setting->step->key) : NULL;
    *after = (struct mr_positions){
        .items = mr_arena_calloc(arena, (size_t)before->count + 1, sizeof *after->items)};
    if (!after->items)
        return mr_error_nomem(err);
    for (int i = 0; i < before->count; i++) {
        const char *step = before->items[i].step;
        if (step[0] != '\0' && (!setting->step || strcmp(step, setting->step->key) != 0))
            after->items[after->count++] = before->items[i];
    }
    if (setting->step && setting->text)
        after->items[after->count++] =
            (struct mr_source_position){.step = setting->step->key,
                                        .method = setting->step->method->name,
                                        .text = setting->text,
                                        .before = old ? old->text : NULL};
    return MR_OK;
}

/* Asks the source what it makes of the value. */
static enum mr_status try_value(struct setting *setting, const struct mr_positions *positions,
                                struct mr_error *err)
{
    struct mr_session *session = setting->session;
    if (!setting->step || !setting->text)
        return MR_OK;
    char number[16];
    snprintf(number, sizeof number, "%d", setting->step->index + 1);
    struct mr_session_plan_options plan = {.connect = true,
                                           .tries_since = true,
                                           .until_step = number};
    struct mr_error cause = {0};
    session->since = *positions;
    session->knows_since = true;
    enum mr_status status = mr_session_plan(session, &plan, NULL, &cause);
    if (status == MR_OK)
        return MR_OK;
    bool refused = cause.cls == MR_CLASS_CONFIG && (status == MR_SOURCE || status == MR_CONFIG) &&
                   strstr(cause.message, setting->step->label);
    if (refused || status == MR_CANCELLED || status == MR_NOMEM) {
        if (err)
            *err = cause;
        return status;
    }
    *setting->unchecked = mr_arena_strdup(&session->arena, cause.message);
    return MR_OK;
}

static enum mr_status write_run(const struct setting *setting, struct mr_error *err)
{
    struct mr_session *session = setting->session;
    const char *name = setting->step ? setting->step->key : "the pipeline";
    const char *message =
        setting->text ? mr_arena_printf(&session->arena, SET "%s set to %s", name, setting->text)
                      : mr_arena_printf(&session->arena, SET "%s cleared", name);
    struct mr_run_row row = {.run_id = session->run_id,
                             .pipeline = session->spec->name,
                             .state_key = session->spec->state_key,
                             .started_micros = session->start_wall,
                             .status = "success",
                             .ended_micros = mr_clock_wall_micros(),
                             .message = message};
    if (!message)
        return mr_error_nomem(err);
    MR_TRY(mr_state_run_begin(setting->state, &row, err));
    return mr_state_run_end(setting->state, &row, err);
}

/* Another place would bring rows a second time into what steps keep, or leave some out of it. */
static enum mr_status refuse_kept(const struct setting *setting, int64_t committed,
                                  struct mr_error *err)
{
    bool any = false;
    MR_TRY(mr_kept_is_any(setting->state, setting->session->spec->state_key, committed, &any, err));
    if (!any)
        return MR_OK;
    mr_error_config(err, "steps of this stream keep what they have read (groups, keys, event "
                         "times): that belongs to the place where it is");
    mr_error_hint(err, "run once with --fresh: what steps keep is forgotten then, and the stream "
                       "begins anew");
    return MR_CONFIG;
}

/* Of all lanes at once nothing can be set: each has a lease and a place of its own. */
static enum mr_status refuse_shared(const struct setting *setting,
                                    const struct mr_epoch_record *record, struct mr_error *err)
{
    if (setting->session->request.lane || !mr_group_has_begun(record))
        return MR_OK;
    mr_error_config(err, "this stream is shared by a group: each of its lanes has a place of its "
                         "own");
    mr_error_hint(err, "name one with --lane (`millrace watermark show` lists them)");
    return MR_CONFIG;
}

static enum mr_status set_under_lease(struct setting *setting, struct mr_error *err)
{
    struct mr_session *session = setting->session;
    struct mr_epoch_record record;
    struct mr_positions before, after;
    MR_TRY(mr_state_load_epoch(setting->state, session->spec->state_key, 0, &session->arena,
                               &record, err));
    MR_TRY(refuse_shared(setting, &record, err));
    if (record.phase == MR_EPOCH_PREPARED) {
        mr_error_set(err, MR_CONFIG, MR_CLASS_CONFIG,
                     "the run %s was interrupted in its commit, and its watermarks belong to the "
                     "rows that it has read",
                     record.run_id);
        mr_error_hint(err, "run the pipeline: that finishes the commit, and reads nothing");
        return MR_CONFIG;
    }
    MR_TRY(refuse_kept(setting, record.epoch, err));
    MR_TRY(mr_positions_decode(record.positions, &session->arena, &before, err));
    MR_TRY(make_change(setting, &before, &after, err));
    MR_TRY(try_value(setting, &after, err));
    const char *safe_time = setting->step ? record.watermark : setting->text;
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, (size_t)1 << 29);
    mr_positions_encode(after.items, after.count, safe_time, &bytes);
    struct mr_epoch_record next = {.phase = MR_EPOCH_COMMITTED,
                                   .epoch = record.epoch,
                                   .run_id = session->run_id,
                                   .maker = record.maker,
                                   .fingerprint = "",
                                   .watermark = safe_time,
                                   .positions = {bytes.data, bytes.size}};
    enum mr_status status = mr_bytes_status(&bytes, err);
    if (status == MR_OK)
        status = write_run(setting, err);
    if (status == MR_OK)
        status = mr_state_store_epoch(setting->lease, &next, err);
    mr_bytes_reset(&bytes);
    return status;
}

static enum mr_status set_in(struct mr_session *session, struct setting *setting,
                             const struct mr_api_watermark_change *change, struct mr_error *err)
{
    int64_t fence = 0;
    setting->session = session;
    if (change->step)
        MR_TRY(find_step(setting, change->step, err));
    else if (change->text)
        MR_TRY(check_time(change->text, err));
    if (change->step && change->text && !change->text[0])
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG,
                            "an empty watermark is none: use --clear");
    MR_TRY(mr_session_open_state(session, &setting->state, err));
    enum mr_status status = mr_state_lease(setting->state, session->spec->state_key,
                                           session->run_id, &setting->lease, &fence, err);
    if (status == MR_OK)
        status = set_under_lease(setting, err);
    mr_lease_release(setting->lease);
    mr_state_close(setting->state);
    return status;
}

/* One that nobody has read yet has no place that could be moved. */
static enum mr_status find_lane(struct mr_session *session, const char *name,
                                struct mr_slice *begin, struct mr_error *err)
{
    struct mr_state *state = NULL;
    struct mr_epoch_record record = {.phase = MR_EPOCH_NONE};
    struct mr_group_lane *lanes = NULL;
    int count = 0, at = 0;
    const char *key = session->spec->state_key;
    if (has_state(session))
        MR_TRY(mr_session_look_at_state(session, &state, err));
    enum mr_status status =
        state ? mr_state_load_epoch(state, key, 0, &session->arena, &record, err) : MR_OK;
    if (status == MR_OK && mr_group_has_begun(&record))
        status = mr_group_lanes(state, key, &session->arena, &lanes, &count, err);
    mr_state_close(state);
    MR_TRY(status);
    while (at < count && strcmp(lanes[at].name, name) != 0)
        at++;
    *begin = record.positions;
    if (at < count)
        return MR_OK;
    if (count == 0)
        return mr_error_config(err, "there is no lane %s: no group has read this stream yet", name);
    return mr_error_config(err, "there is no lane %s that anybody has read; there are %s .. %s",
                           name, lanes[0].name, lanes[count - 1].name);
}

static enum mr_status set_lane(struct mr_session *session, struct setting *setting,
                               const struct mr_api_watermark_change *change, struct mr_error *err)
{
    struct mr_session_lane lane = {.of = {.name = change->lane}, .memory = session->memory.limit};
    struct mr_session *own = NULL;
    MR_TRY(find_lane(session, change->lane, &lane.begin, err));
    struct mr_load_errors *errors = mr_calloc(1, sizeof *errors);
    if (!errors)
        return mr_error_nomem(err);
    struct mr_session_request request = session->request;
    request.lane = &lane;
    enum mr_status status = mr_session_open(&request, &own, errors);
    if (status != MR_OK)
        *err = errors->items[0];
    mr_free(errors);
    MR_TRY(status);
    status = set_in(own, setting, change, err);
    if (*setting->unchecked)
        *setting->unchecked = mr_arena_strdup(&session->arena, *setting->unchecked);
    mr_session_close(own);
    return status;
}

enum mr_status mr_api_watermark_set(struct millrace_pipeline *pipeline,
                                    const struct mr_api_watermark_change *change,
                                    const char **unchecked, struct mr_error *err)
{
    struct setting setting = {.text = change->text, .unchecked = unchecked};
    *unchecked = NULL;
    return change->lane ? set_lane(pipeline->session, &setting, change, err)
                        : set_in(pipeline->session, &setting, change, err);
}
