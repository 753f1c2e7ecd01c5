/*
 * sigv4_sign.c - JSON of a request on standard input, its canonical request and Authorization header
 * on standard output, with a line "---" in between.
 */
#include "store/s3/sigv4.h"

#include <jansson.h>
#include <stdio.h>

static const char *text(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));
    return value ? value : "";
}

static int pairs(const json_t *list, struct sigv4_pair *out)
{
    int n = 0;
    for (; n < (int)json_array_size(list) && n < 32; n++) {
        const json_t *pair = json_array_get(list, (size_t)n);
        out[n].name = json_string_value(json_array_get(pair, 0));
        out[n].value = json_string_value(json_array_get(pair, 1));
    }
    return n;
}

int main(void)
{
    struct sigv4_pair query[32], headers[32];
    struct mr_error err;
    struct mr_bytes canonical, value;
    json_t *root = json_loadf(stdin, 0, NULL);
    mr_bytes_init(&canonical, 1 << 20);
    mr_bytes_init(&value, 1 << 20);
    struct sigv4_request request = {
        .method = text(root, "method"),
        .path = mr_slice_of(text(root, "path")),
        .query = query,
        .nquery = pairs(json_object_get(root, "query"), query),
        .headers = headers,
        .nheaders = pairs(json_object_get(root, "headers"), headers),
        .payload_hash = text(root, "payload_hash"),
        .date = text(root, "date"),
        .normalize = json_is_true(json_object_get(root, "normalize")),
        .double_encode = json_is_true(json_object_get(root, "double_encode")),
    };
    struct sigv4_key key = {text(root, "access_key"), text(root, "secret_key"),
                            text(root, "region"), text(root, "service")};
    if (sigv4_canonical(&request, &canonical, &err) != MR_OK ||
        sigv4_sign(&request, &key, &value, &err) != MR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%s\n---\n%s\n", canonical.data, value.data);
    mr_bytes_reset(&canonical);
    mr_bytes_reset(&value);
    json_decref(root);
    return 0;
}
