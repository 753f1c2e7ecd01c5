/*
 * store_options.h - the keys by which a step says how its store is reached: rows for the option
 * tables of everything that reads or writes objects by URL. A directory ignores all of them.
 */
#ifndef MR_DATASET_STORE_OPTIONS_H
#define MR_DATASET_STORE_OPTIONS_H

#include "ext/option.h"

/* Where: used by dataset/location.h. */
#define MR_LOCATION_OPTION_ROWS                                                                    \
    {.name = "bucket",                                                                             \
     .type = MR_OPTION_STRING,                                                                     \
     .doc = "The bucket; joined with path by one slash. The credentials file may map it to a "     \
            "directory or an endpoint."},                                                          \
    {                                                                                              \
        .name = "path", .type = MR_OPTION_STRING,                                                  \
        .doc = "Below the bucket, or s3://, s3a://, file:// or a plain path (relative to the "     \
               "pipeline file)."                                                                   \
    }

/* How it is reached. */
#define MR_STORE_OPTION_ROWS                                                                       \
    {.name = "endpoint",                                                                           \
     .type = MR_OPTION_STRING,                                                                     \
     .flags = MR_OPTION_CONNECTION,                                                                \
     .doc = "S3: URL of the service, for stores other than AWS."},                                 \
        {.name = "region",                                                                         \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: region that requests are signed for; found out when not given."},             \
        {.name = "pathStyle",                                                                      \
         .type = MR_OPTION_BOOL,                                                                   \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: the bucket is part of the path, not of the host. Default: with an endpoint, " \
                "an IP address or a bucket name with dots."},                                      \
        {.name = "proxy",                                                                          \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: URL of a proxy."},                                                            \
        {.name = "caFile",                                                                         \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: certificates to trust instead of the system's."},                             \
        {.name = "accessKey",                                                                      \
         .aliases = "accessKeyId",                                                                 \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                         \
         .doc = "S3: id of the key."},                                                             \
        {.name = "secretKey",                                                                      \
         .aliases = "secretAccessKey",                                                             \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                         \
         .doc = "S3: the key."},                                                                   \
        {.name = "sessionToken",                                                                   \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION | MR_OPTION_SECRET,                                         \
         .doc = "S3: token of temporary credentials."},                                            \
        {.name = "profile",                                                                        \
         .type = MR_OPTION_STRING,                                                                 \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: profile of the AWS configuration files."},                                    \
        {.name = "anonymous",                                                                      \
         .type = MR_OPTION_BOOL,                                                                   \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .doc = "S3: requests are not signed (public buckets)."},                                  \
        {.name = "checksum",                                                                       \
         .type = MR_OPTION_ENUM,                                                                   \
         .flags = MR_OPTION_CONNECTION,                                                            \
         .choices = mr_store_checksums,                                                            \
         .doc = "S3: checksum sent with each object; none unless the bucket requires one."},       \
        {.name = "maxConnections",                                                                 \
         .type = MR_OPTION_INT,                                                                    \
         .minimum = 1,                                                                             \
         .maximum = 100000,                                                                        \
         .doc = "S3: connections open at once."},                                                  \
    {                                                                                              \
        .name = "bucketMap", .aliases = "buckets", .type = MR_OPTION_PAIRS,                        \
        .flags = MR_OPTION_CONNECTION,                                                             \
        .doc = "Directory or endpoint that stands in for each bucket; from s3.buckets of the "     \
               "credentials file."                                                                 \
    }

/* How objects are uploaded. */
#define MR_UPLOAD_OPTION_ROWS                                                                      \
    {.name = "multipartSize",                                                                      \
     .type = MR_OPTION_SIZE,                                                                       \
     .unit = "bytes",                                                                              \
     .doc = "S3: bytes of a part of an upload (5 MB to 5 GB)."},                                   \
        {.name = "multipartThreshold",                                                             \
         .type = MR_OPTION_SIZE,                                                                   \
         .unit = "bytes",                                                                          \
         .doc = "S3: smaller objects are uploaded in one request."},                               \
        {.name = "uploadThreads",                                                                  \
         .type = MR_OPTION_INT,                                                                    \
         .minimum = 1,                                                                             \
         .maximum = 1024,                                                                          \
         .doc = "S3: parts of one object uploaded at once."},                                      \
    {                                                                                              \
        .name = "uploadBuffer", .type = MR_OPTION_ENUM, .choices = mr_store_buffers,               \
        .doc = "S3: where parts wait for their upload."                                            \
    }

extern const char *const mr_store_checksums[]; /* none, md5, crc32, crc32c, sha256 */
extern const char *const mr_store_buffers[];   /* memory, disk */

#endif
