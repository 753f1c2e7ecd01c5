/*
 * message.c - what S3's refusals mean to a person.
 *
 * Refused keys and rights are MR_CREDENTIALS (exit 4); what has to be changed in the pipeline is
 * configuration; the rest is the failure of reading or writing that it is. Each says what to do.
 */
#include "store/s3/s3_private.h"

#include "base/time.h"

#include <stdio.h>

struct meaning {
    const char *code;
    enum mr_status status; /* MR_OK = of reading or writing */
    enum mr_error_class cls;
    const char *hint;
};

static const struct meaning meanings[] = {
    {"InvalidAccessKeyId", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "the service does not know this access key: is it of another account or endpoint?"},
    {"SignatureDoesNotMatch", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "the secret key does not belong to the access key (or a proxy changes requests on the way)"},
    {"ExpiredToken", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "the temporary credentials have expired: get new ones"},
    {"InvalidToken", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "sessionToken does not belong to these keys; leave it out for permanent ones"},
    {"AuthorizationHeaderMalformed", MR_CONFIG, MR_CLASS_CONFIG,
     "set \"region\" to the region of the bucket"},
    {"NoSuchBucket", MR_CONFIG, MR_CLASS_CONFIG,
     "create the bucket, or correct its name, the endpoint or the region"},
    {"InvalidBucketName", MR_CONFIG, MR_CLASS_CONFIG, "correct the name of the bucket"},
    {"PermanentRedirect", MR_CONFIG, MR_CLASS_CONFIG,
     "the bucket is elsewhere: set \"region\" or \"endpoint\""},
    {"RequestTimeTooSkewed", MR_CONFIG, MR_CLASS_CONFIG, "set the clock of this machine (NTP)"},
    {"InvalidRequest", MR_OK, MR_CLASS_CONFIG,
     "if the bucket requires a checksum (object lock does): set \"checksum\": \"crc32c\""},
    {"NotImplemented", MR_OK, MR_CLASS_CONFIG,
     "this service lacks something that was asked of it; with \"checksum\" set, try none"},
    {"NoSuchKey", MR_OK, MR_CLASS_CONFIG, NULL},
    {"QuotaExceeded", MR_OK, MR_CLASS_CONFIG, "the quota of the bucket is used up"},
    {"XMinioStorageFull", MR_OK, MR_CLASS_CONFIG, "the disk of the service is full"},
    {"InsufficientStorage", MR_OK, MR_CLASS_CONFIG, "the disk of the service is full"},
    {"EntityTooLarge", MR_OK, MR_CLASS_CONFIG, "set a smaller multipartThreshold"},
    {"KMS.DisabledException", MR_CREDENTIALS, MR_CLASS_CONFIG,
     "the KMS key of the bucket cannot be used"},
};

static const struct meaning *meaning_of(const struct s3_flight *flight)
{
    static const struct meaning
        denied = {"", MR_CREDENTIALS, MR_CLASS_CONFIG,
                  "the keys are valid, but not allowed to do this: s3:GetObject, s3:PutObject, "
                  "s3:DeleteObject, s3:ListBucket and s3:AbortMultipartUpload are needed"},
        anonymous = {"", MR_CREDENTIALS, MR_CLASS_CONFIG,
                     "the request was anonymous: give accessKey and secretKey"},
        absent = {"", MR_OK, MR_CLASS_CONFIG, NULL},
        full = {"", MR_OK, MR_CLASS_CONFIG, "the disk of the service is full"},
        passing = {"", MR_OK, MR_CLASS_TRANSIENT, "the service is overloaded or ill; try later"},
        odd = {"", MR_OK, MR_CLASS_CONFIG, NULL};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(flight->fault.code, meanings[i].code) == 0)
            return &meanings[i];
    switch (s3_flight_code(flight)) {
    case 401:
    case 403:
        return flight->credentials ? &denied : &anonymous;
    case 404:
        return &absent;
    case 507:
        return &full;
    default:
        return s3_flight_code(flight) >= 500 || s3_flight_code(flight) == 429 ? &passing : &odd;
    }
}

enum mr_status s3_flight_error(const struct s3_flight *flight, const char *what,
                               struct mr_error *err)
{
    const struct meaning *meaning = meaning_of(flight);
    const struct s3_config *config = &flight->s3->config;
    enum mr_status status = meaning->status != MR_OK ? meaning->status
                            : flight->call.write     ? MR_SINK
                                                     : MR_SOURCE;
    int code = s3_flight_code(flight);
    const char *key = flight->call.key ? flight->call.key : "";
    char reason[400];
    if (flight->fault.code[0])
        snprintf(reason, sizeof reason, "%s: %s", flight->fault.code, flight->fault.message);
    else if (code == 404)
        snprintf(reason, sizeof reason, "there is no such object");
    else
        snprintf(reason, sizeof reason, "the service gave no reason");
    mr_error_set(err, status, meaning->cls, "cannot %s s3://%s/%s: %s (HTTP %d%s%s)", what,
                 config->bucket, key, reason, code, flight->credentials ? ", keys of " : "",
                 flight->credentials ? flight->credentials->origin : "");
    if (meaning->hint)
        mr_error_hint(err, "%s", meaning->hint);
    return status;
}

int64_t s3_http_date(struct mr_slice text)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char copy[64], month[4];
    struct mr_civil civil = {0};
    int year;
    snprintf(copy, sizeof copy, "%.*s", text.size < 60 ? (int)text.size : 60, text.data);
    const char *comma = strchr(copy, ',');
    if (!comma || sscanf(comma + 1, " %2d %3s %4d %2d:%2d:%2d", &civil.day, month, &year,
                         &civil.hour, &civil.minute, &civil.second) != 6)
        return 0;
    const char *found = strstr(months, month);
    if (!found || strlen(month) != 3 || (found - months) % 3 != 0 || civil.day < 1 ||
        civil.day > 31)
        return 0;
    civil.year = year;
    civil.month = (int)((found - months) / 3) + 1;
    return mr_micros_from_civil(&civil);
}

enum mr_status s3_check_path(const struct s3 *s3, const char *path, struct mr_error *err)
{
    bool good =
        *path != '\0' && *path != '/' && strlen(path) + strlen(s3->config.prefix) <= S3_PATH_MAX;
    for (const char *part = path; good && part;) {
        const char *end = strchr(part, '/');
        size_t size = end ? (size_t)(end - part) : strlen(part);
        good = size > 0 && !(size == 1 && part[0] == '.') &&
               !(size == 2 && part[0] == '.' && part[1] == '.');
        part = end ? end + 1 : NULL;
    }
    return good ? MR_OK
                : mr_error_config(err, "'%s' is not a path of an object below s3://%s/%s", path,
                                  s3->config.bucket, s3->config.prefix);
}
