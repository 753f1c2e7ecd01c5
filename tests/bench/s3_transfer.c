/*
 * s3_transfer.c - bytes to and from a bucket through the S3 store, beside bare libcurl.
 *
 *     s3_transfer upload|bare|download URL MEGABYTES [THREADS]
 *
 * The endpoint is AWS_ENDPOINT_URL, keys come as for the store. `upload` stages and publishes one object of that size;
 * `bare` PUTs the same bytes in pieces of 8 MB with as many of curl's handles as there are threads, signed without
 * their hash; `download` reads the object by 32 MB. Prints MB/s and seconds of wall and CPU.
 */
#include "base/time.h"
#include "dataset/store_options.h"
#include "ext/runtime.h"
#include "store/s3/s3.h"
#include "store/s3/sigv4.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE ((size_t)8 << 20)
#define READ  ((size_t)32 << 20)

static const struct mr_option rows[] = {MR_STORE_OPTION_ROWS, MR_UPLOAD_OPTION_ROWS, MR_OPTION_END};
static struct mr_error err;

static void need(enum mr_status status)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "%s %s\n", err.message, err.hint);
    exit(1);
}

static char *make_bytes(size_t size)
{
    char *data = malloc(size);
    for (size_t i = 0; i < size / 8; i++)
        ((uint64_t *)(void *)data)[i] = i * UINT64_C(0x9E3779B97F4A7C15);
    return data;
}

static void upload(void *handle, const char *data, int64_t pieces)
{
    void *stage;
    struct mr_bytes ticket;
    mr_bytes_init(&ticket, 1 << 24);
    need(mr_store_s3.stage_open(handle, "object-bench", "bench", &stage, &err));
    for (int64_t i = 0; i < pieces; i++)
        for (size_t at = 0; at < PIECE; at += PIECE / 8)
            need(mr_store_s3.stage_append(stage, data + at, PIECE / 8, &err));
    need(mr_store_s3.stage_finish(stage, &ticket, &err));
    mr_store_s3.stage_close(stage);
    need(mr_store_s3.sync(handle, &err));
    need(mr_store_s3.publish(handle, (struct mr_slice){ticket.data, ticket.size}, &err));
    need(mr_store_s3.sync(handle, &err));
    mr_bytes_reset(&ticket);
}

static void download(void *handle, int64_t pieces)
{
    char *out = malloc(READ);
    size_t got = READ;
    for (int64_t at = 0; at < pieces * (int64_t)PIECE && got == READ; at += (int64_t)READ)
        need(mr_store_s3.read(handle, "object-bench", at, out, READ, &got, &err));
    free(out);
}

/* --- bare libcurl --- */

static size_t drop(char *data, size_t one, size_t size, void *context)
{
    (void)data;
    (void)context;
    return one * size;
}

static struct curl_slist *begin(CURL *easy, const char *bucket, int64_t number, const char *data)
{
    const char *endpoint = getenv("AWS_ENDPOINT_URL");
    char date[SIGV4_DATE_SIZE], path[256], url[512], line[1024];
    struct mr_bytes value;
    mr_bytes_init(&value, 1 << 16);
    snprintf(path, sizeof path, "/%s/bare-%lld", bucket, (long long)number);
    snprintf(url, sizeof url, "%s%s", endpoint, path);
    sigv4_date(mr_clock_wall_micros(), date);
    const struct sigv4_pair headers[] = {{"host", strstr(endpoint, "://") + 3},
                                         {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"},
                                         {"x-amz-date", date}};
    const struct sigv4_request request = {.method = "PUT",
                                          .path = mr_slice_of(path),
                                          .headers = headers,
                                          .nheaders = 3,
                                          .payload_hash = "UNSIGNED-PAYLOAD",
                                          .date = date};
    const struct sigv4_key key = {getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                                  "us-east-1", "s3"};
    need(sigv4_sign(&request, &key, &value, &err));
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    list = curl_slist_append(list, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    snprintf(line, sizeof line, "x-amz-date: %s", date);
    list = curl_slist_append(list, line);
    snprintf(line, sizeof line, "Authorization: %s", value.data);
    list = curl_slist_append(list, line);
    mr_bytes_reset(&value);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)PIECE);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)512 << 10);
    return list;
}

static void bare(const char *bucket, const char *data, int64_t pieces, int threads)
{
    CURLM *multi = curl_multi_init();
    struct curl_slist *lists[64] = {NULL};
    CURL *easies[64];
    int64_t next = 0, done = 0;
    for (int i = 0; i < threads; i++) {
        easies[i] = curl_easy_init();
        if (next < pieces) {
            lists[i] = begin(easies[i], bucket, next++, data);
            curl_multi_add_handle(multi, easies[i]);
        }
    }
    while (done < pieces) {
        int running, left;
        curl_multi_perform(multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL; done++) {
            CURL *easy = message->easy_handle;
            if (message->data.result != CURLE_OK) {
                fprintf(stderr, "%s\n", curl_easy_strerror(message->data.result));
                exit(1);
            }
            curl_multi_remove_handle(multi, easy);
            for (int i = 0; i < threads && next < pieces; i++) {
                if (easies[i] != easy)
                    continue;
                curl_slist_free_all(lists[i]);
                lists[i] = begin(easy, bucket, next++, data);
                curl_multi_add_handle(multi, easy);
                break;
            }
        }
        curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *mode = argv[1], *threads = argc > 4 ? argv[4] : "4";
    const char *const texts[] = {"uploadThreads", threads, "maxConnections", threads, NULL};
    int64_t pieces = atoll(argv[3]) * (1 << 20) / (int64_t)PIECE;
    const struct mr_options *options;
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_counters counters = {0};
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_runtime runtime = {.waiter = &waiter,
                                 .memory = &memory,
                                 .counters = &counters,
                                 .temp_dir = "/tmp",
                                 .parallelism = 1};
    void *handle;
    mr_memory_init(&memory, NULL, "bench", INT64_MAX);
    mr_arena_init(&arena, NULL);
    char *data = make_bytes(PIECE);
    need(mr_options_from_texts(&arena, rows, texts, &options, &err));
    need(mr_store_s3.open(argv[2], options, &runtime, &handle, &err));
    need(mr_store_s3.remove(handle, "object-bench-none", &err));
    if (strcmp(mode, "upload") == 0)
        need(mr_store_s3.remove(handle, "object-bench", &err));
    int64_t began = mr_clock_monotonic_micros(), cpu = mr_clock_process_cpu_nanos();
    if (strcmp(mode, "upload") == 0)
        upload(handle, data, pieces);
    else if (strcmp(mode, "download") == 0)
        download(handle, pieces);
    else
        bare(argv[2] + strlen("s3://"), data, pieces, atoi(threads));
    double wall = (double)(mr_clock_monotonic_micros() - began) / 1e6;
    printf("%s %lld MB in %.2f s wall, %.2f s CPU: %.0f MB/s; peak %.0f MB of buffers\n", mode,
           (long long)(pieces * 8), wall, (double)(mr_clock_process_cpu_nanos() - cpu) / 1e9,
           (double)pieces * 8 / wall, (double)mr_memory_peak(&memory) / (1 << 20));
    mr_store_s3.close(handle);
    mr_arena_reset(&arena);
    free(data);
    return 0;
}
