/*
 * s3.c - the store on S3: opening and closing handles, and the table of its functions.
 *
 * A handle belongs to one thread; its requests are moved by the thread that all handles on the same
 * service share (service.c, net/transfer.c). What is staged lies below ".millrace/", where no
 * listing of ours and of Spark's looks: publish.c says how it becomes visible.
 */
#include "store/s3/s3_private.h"
#include "store/s3/stage.h"

static void s3_close(void *handle)
{
    struct s3 *s3 = handle;
    if (!s3)
        return;
    s3_background_drop(s3);
    s3_buffers_free(s3->buffers);
    if (s3->service && s3->runtime->counters)
        mr_count_peak(s3->runtime, MR_COUNT_CONNECTIONS_PEAK,
                      mr_transfers_peak(s3_service_transfers(s3->service)));
    mr_mailbox_free(s3->mailbox);
    if (s3->owned)
        s3_service_free(s3->service);
    s3_forget(s3);
    mr_arena_reset(&s3->arena);
    mr_free(s3);
}

static enum mr_status s3_open(const char *url, const struct mr_options *options,
                              struct mr_runtime *runtime, void **handle, struct mr_error *err)
{
    struct s3 *s3 = mr_calloc(1, sizeof *s3);
    *handle = NULL;
    if (!s3)
        return mr_error_nomem(err);
    mr_arena_init(&s3->arena, NULL);
    s3->runtime = runtime;
    s3->read_size = -1;
    enum mr_status status = s3_config_read(url, options, runtime, &s3->arena, &s3->config, err);
    if (status == MR_OK)
        status = mr_mailbox_new(&s3->mailbox, err);
    if (status == MR_OK)
        status = s3_service_get(runtime, &s3->config, &s3->service, &s3->owned, err);
    if (status == MR_OK)
        *handle = s3;
    else
        s3_close(s3);
    return status;
}

static enum mr_status s3_sync(void *handle, struct mr_error *err)
{
    return s3_background_settle(handle, 0, err);
}

const struct mr_store mr_store_s3 = {
    .name = "s3",
    .scheme = "s3",
    .doc = "A bucket of S3 or of a service that speaks its protocol.",
    .open = s3_open,
    .list = s3_list,
    .read = s3_read,
    .read_many = s3_read_many,
    .stat = s3_stat,
    .put = s3_put,
    .put_if_absent = s3_put_if_absent,
    .stage_open = s3_stage_open,
    .stage_append = s3_stage_append,
    .stage_finish = s3_stage_finish,
    .stage_close = s3_stage_close,
    .publish = s3_publish,
    .discard = s3_discard,
    .is_staged = s3_is_staged,
    .discard_tag = s3_discard_tag,
    .sync = s3_sync,
    .remove = s3_remove,
    .close = s3_close,
};
