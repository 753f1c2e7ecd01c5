/*
 * put.c - small objects in one request, removal, and work that goes on behind the caller's back.
 *
 * put_if_absent is PUT with If-None-Match: *. An attempt whose reply is lost may have created the
 * object, and curl itself sends a request again when a connection that it kept open was dead; so a
 * 412 ("exists already") is never believed as it is: the object is read back, and if it holds our bytes
 * we have created it. Repeating the request does no harm, because the service creates it once.
 *
 * A service that does not know the header would replace the object, so one other than Amazon's is
 * tried first, once per run and bucket: such a PUT to a hidden name that exists must be refused. The name
 * is always the same, so that the next run removes what a killed one left.
 */
#include "base/failpoint.h"
#include "base/time.h"
#include "store/s3/s3_private.h"

#define SMALL_TIMEOUT INT64_C(120000000)
#define PROBE         S3_HIDDEN "probe"
#define PROBES        5

/* --- in the background --- */

struct s3_background {
    struct s3_background *next;
    struct s3_flight *flight;
    const char *what;
    bool absent_ok;
    void (*release)(void *thing);
    void *thing;
};

enum mr_status s3_background_add(struct s3 *s3, struct s3_flight *flight, const char *what,
                                 bool absent_ok, void (*release)(void *thing), void *thing,
                                 struct mr_error *err)
{
    struct s3_background *work = mr_calloc(1, sizeof *work);
    if (!work) {
        s3_flight_free(flight);
        if (release)
            release(thing);
        return mr_error_nomem(err);
    }
    *work = (struct s3_background){.next = s3->background,
                                   .flight = flight,
                                   .what = what,
                                   .absent_ok = absent_ok,
                                   .release = release,
                                   .thing = thing};
    s3->background = work;
    s3->nbackground++;
    return MR_OK;
}

static enum mr_status end_one(struct s3 *s3, struct s3_background **place, struct mr_error *err)
{
    struct s3_background *work = *place;
    struct s3_flight *flight = work->flight;
    enum mr_status status = flight->status;
    if (status != MR_OK && err)
        *err = flight->err;
    if (status == MR_OK && !s3_flight_ok(flight) &&
        !(work->absent_ok && s3_flight_code(flight) == 404))
        status = s3_flight_error(flight, work->what, err);
    *place = work->next;
    s3->nbackground--;
    s3_flight_free(flight);
    if (work->release)
        work->release(work->thing);
    mr_free(work);
    if (status == MR_OK)
        mr_progressed(s3->runtime);
    return status;
}

enum mr_status s3_background_settle(struct s3 *s3, int most, struct mr_error *err)
{
    for (;;) {
        for (struct s3_background **place = &s3->background; *place;) {
            if ((*place)->flight->finished)
                MR_TRY(end_one(s3, place, err));
            else
                place = &(*place)->next;
        }
        if (s3->nbackground <= most)
            return MR_OK;
        MR_TRY(s3_turn(s3, MR_WAIT_SINK, err));
    }
}

enum mr_status s3_background_settle_puts(struct s3 *s3, struct mr_error *err)
{
    for (;;) {
        bool any = false;
        MR_TRY(s3_background_settle(s3, s3->nbackground, err));
        for (const struct s3_background *work = s3->background; work; work = work->next)
            any |= strcmp(work->flight->call.method, "PUT") == 0;
        if (!any)
            return MR_OK;
        MR_TRY(s3_turn(s3, MR_WAIT_SINK, err));
    }
}

void s3_background_drop(struct s3 *s3)
{
    s3_background_settle(s3, 0, NULL); /* fails at once when the run was cancelled */
    while (s3->background)
        end_one(s3, &s3->background, NULL);
}

enum mr_status s3_background_remove(struct s3 *s3, const char *path, struct mr_error *err)
{
    struct s3_flight *flight;
    MR_TRY(s3_background_settle(s3, 2 * s3->config.connections, err));
    MR_TRY(s3_flight_new(s3, &flight, err));
    flight->call.method = "DELETE";
    flight->call.key = s3_flight_key(flight, path);
    flight->call.timeout_micros = SMALL_TIMEOUT;
    flight->call.write = true;
    if (!flight->call.key) {
        s3_flight_free(flight);
        return mr_error_nomem(err);
    }
    s3_flight_start(flight);
    return s3_background_add(s3, flight, "remove", true, NULL, NULL, err);
}

/* --- put --- */

static enum mr_status send_put(struct s3 *s3, const char *path, struct mr_slice data,
                               bool if_absent, struct s3_flight **out, struct mr_error *err)
{
    MR_TRY(s3_flight_new(s3, out, err));
    struct s3_flight *flight = *out;
    flight->call.method = "PUT";
    flight->call.key = s3_flight_key(flight, path);
    flight->call.timeout_micros = SMALL_TIMEOUT + (int64_t)data.size; /* at least 1 MB/s */
    flight->call.write = true;
    if (!flight->call.key)
        return mr_error_nomem(err);
    MR_TRY(s3_flight_body_set(flight, data, err));
    if (if_absent)
        s3_flight_header(flight, "if-none-match", "*");
    return s3_flight_run(flight, err);
}

enum mr_status s3_put(void *handle, const char *path, struct mr_slice data, struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_flight *flight = NULL;
    MR_TRY(s3_check_path(s3, path, err));
    s3_forget(s3);
    enum mr_status status = send_put(s3, path, data, false, &flight, err);
    if (status == MR_OK && !s3_flight_ok(flight))
        status = s3_flight_error(flight, "write", err);
    s3_flight_free(flight);
    return status;
}

enum mr_status s3_remove(void *handle, const char *path, struct mr_error *err)
{
    struct s3 *s3 = handle;
    MR_TRY(s3_check_path(s3, path, err));
    s3_forget(s3);
    MR_TRY(s3_background_settle(s3, 0, err));
    MR_TRY(s3_background_remove(s3, path, err));
    return s3_background_settle(s3, 0, err);
}

/* --- put_if_absent --- */

static enum mr_status refuse(const struct s3 *s3, struct mr_error *err)
{
    mr_error_config(err,
                    "the service of s3://%s does not honour If-None-Match, so that two writers "
                    "could replace each other's commits",
                    s3->config.bucket);
    mr_error_hint(err, "use a service that does (AWS, MinIO, SeaweedFS, Ceph, R2, ...), or write "
                       "plain files with toS3");
    return MR_CONFIG;
}

/* One PUT that may create the object of the probe. */
static enum mr_status probe(struct s3 *s3, int *code, struct mr_error *err)
{
    struct s3_flight *flight = NULL;
    enum mr_status status = send_put(s3, PROBE, mr_slice_of("probe"), true, &flight, err);
    *code = status == MR_OK ? s3_flight_code(flight) : 0;
    bool known = status != MR_OK || s3_flight_ok(flight) || *code == 412 || *code == 409 ||
                 *code == 501 || *code == 400;
    if (!known)
        status = s3_flight_error(flight, "write", err);
    s3_flight_free(flight);
    return status;
}

/*
 * PUTs to one hidden name: the second is refused, or the first where a killed run left the object. Another run that tries this
 * out now may remove it in between; that it does so each time cannot be.
 */
static enum mr_status try_out(struct s3 *s3, struct mr_error *err)
{
    int code = 0;
    for (int i = 0; i < PROBES && code != 412 && code != 501 && code != 400; i++)
        MR_TRY(probe(s3, &code, err));
    MR_TRY(MR_FAILPOINT("store.probe.made", err));
    s3_service_set_conditional(s3->service, s3->config.bucket, code == 412 ? 1 : -1);
    MR_TRY(s3_background_remove(s3, PROBE, err));
    return s3_background_settle(s3, 0, err);
}

static enum mr_status need_conditional(struct s3 *s3, struct mr_error *err)
{
    if (s3->config.aws)
        return MR_OK;
    if (s3_service_conditional(s3->service, s3->config.bucket) == 0)
        MR_TRY(try_out(s3, err));
    return s3_service_conditional(s3->service, s3->config.bucket) > 0 ? MR_OK : refuse(s3, err);
}

/* Does the object hold exactly `data`? */
static enum mr_status read_back(struct s3 *s3, const char *path, struct mr_slice data, bool *exists,
                                bool *same, struct mr_error *err)
{
    struct mr_error failure = {0};
    size_t got = 0;
    *exists = *same = false;
    char *copy = mr_alloc(data.size + 1);
    if (!copy)
        return mr_error_nomem(err);
    s3_forget(s3);
    enum mr_status status = s3_read(s3, path, 0, copy, data.size + 1, &got, &failure);
    s3_forget(s3);
    if (status == MR_OK) {
        *exists = true;
        *same = got == data.size && memcmp(copy, data.data ? data.data : "", got) == 0;
    } else if (failure.status == MR_SOURCE && failure.cls == MR_CLASS_CONFIG) {
        status = MR_OK; /* absent */
    } else if (err) {
        *err = failure;
    }
    mr_free(copy);
    return status;
}

/* An object larger than ours stops curl with MR_LIMIT where the service sends more than was asked. */
static enum mr_status settle(struct s3 *s3, const char *path, struct mr_slice data,
                             const struct mr_error *lost, bool *created, struct mr_error *err)
{
    bool exists, same;
    enum mr_status status = read_back(s3, path, data, &exists, &same, err);
    if (status == MR_OK && (exists || !lost)) {
        *created = same;
        return MR_OK;
    }
    if (status == MR_OK && err)
        *err = *lost;
    if (status != MR_CANCELLED && status != MR_NOMEM && err) {
        err->status = MR_SINK;
        err->cls = MR_CLASS_UNKNOWN;
        mr_error_prefix(err, "whether s3://%s/%s%s was written is not known", s3->config.bucket,
                        s3->config.prefix, path);
        return MR_SINK;
    }
    return status;
}

enum mr_status s3_put_if_absent(void *handle, const char *path, struct mr_slice data, bool *created,
                                struct mr_error *err)
{
    struct s3 *s3 = handle;
    struct s3_flight *flight = NULL;
    struct mr_error failure = {0};
    *created = false;
    MR_TRY(s3_check_path(s3, path, err));
    MR_TRY(need_conditional(s3, err));
    s3_forget(s3);
    enum mr_status status = send_put(s3, path, data, true, &flight, &failure);
    if (status == MR_OK && s3_flight_ok(flight)) {
        *created = true;
    } else if (status == MR_OK && s3_flight_code(flight) == 412) {
        status = settle(s3, path, data, NULL, created, err);
    } else {
        bool uncertain = flight && flight->uncertain && status != MR_CANCELLED;
        if (status == MR_OK)
            status = s3_flight_error(flight, "write", &failure);
        if (uncertain)
            status = settle(s3, path, data, &failure, created, err);
        else if (err)
            *err = failure;
    }
    s3_flight_free(flight);
    return status;
}
