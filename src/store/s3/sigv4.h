/*
 * sigv4.h - AWS Signature Version 4, in the Authorization header.
 *
 * Pure functions: the time is an argument. Paths, names and values are given as they are meant, not
 * encoded. Source: "Signature Version 4 signing process", AWS General Reference.
 */
#ifndef MR_STORE_S3_SIGV4_H
#define MR_STORE_S3_SIGV4_H

#include "base/bytes.h"

#define SIGV4_HASH_SIZE 65 /* SHA-256 in hexadecimal digits, and a NUL */
#define SIGV4_DATE_SIZE 17 /* "20150830T123600Z" */

struct sigv4_pair {
    const char *name;
    const char *value;
};

struct sigv4_request {
    const char *method;
    struct mr_slice path; /* begins with '/' */
    const struct sigv4_pair *query;
    int nquery;
    const struct sigv4_pair *headers; /* host, x-amz-date, ...: all of them are signed */
    int nheaders;
    const char *payload_hash; /* hexadecimal, or UNSIGNED-PAYLOAD */
    const char *date;         /* of sigv4_date */
    /*
     * S3 takes keys as they are and encodes once. Every other service folds "//", "." and "..",
     * and encodes twice.
     */
    bool normalize;
    bool double_encode;
};

struct sigv4_key {
    const char *access_key;
    const char *secret_key;
    const char *region;
    const char *service;
};

/* Bytes other than A-Z a-z 0-9 - . _ ~ as %XX; '/' stays if `slash`. */
void sigv4_encode(struct mr_bytes *out, struct mr_slice text, bool slash);
/* name=value&... encoded and sorted, as it is signed and sent. */
enum mr_status sigv4_query(struct mr_bytes *out, const struct sigv4_pair *query, int nquery,
                           struct mr_error *err);
void sigv4_date(int64_t wall_micros, char out[SIGV4_DATE_SIZE]);
void sigv4_hash(struct mr_slice data, char out[SIGV4_HASH_SIZE]);
void sigv4_hex(const unsigned char *bytes, size_t size, char *out);

enum mr_status sigv4_canonical(const struct sigv4_request *request, struct mr_bytes *out,
                               struct mr_error *err);
/* Appends the value of the Authorization header. */
enum mr_status sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
                          struct mr_bytes *out, struct mr_error *err);

#endif
