/*
 * tz.h - time zones from the system's TZif files (RFC 8536), without libc's process-global TZ.
 *
 * A zone is loaded once, immutable, and shared by threads.
 */
#ifndef MR_BASE_TZ_H
#define MR_BASE_TZ_H

#include "base/error.h"

#include <stdint.h>

struct mr_tz;

/*
 * `name`: "UTC", "Z", "Europe/Berlin", "+02:00", "-0530", "GMT+3", "UTC-08:00". Loaded from $TZDIR
 * or /usr/share/zoneinfo. An unknown name is MR_CONFIG. Freed with mr_tz_free.
 */
enum mr_status mr_tz_new(const char *name, struct mr_tz **out, struct mr_error *err);
void mr_tz_free(struct mr_tz *tz);
const char *mr_tz_name(const struct mr_tz *tz);
/* Is it a fixed offset of zero? Kernels skip conversion then. */
bool mr_tz_is_utc(const struct mr_tz *tz);
/*
 * Seconds east of Greenwich at an instant (microseconds UTC). Before the first transition: its
 * local mean time.
 */
int32_t mr_tz_offset_at(const struct mr_tz *tz, int64_t utc_micros);
/*
 * Instant -> local fields as microseconds, and back. In a gap: the instant moved forward by its
 * length; in an overlap: the earlier offset (java.time.ZonedDateTime.ofLocal, which is Spark's
 * rule).
 */
int64_t mr_tz_to_local(const struct mr_tz *tz, int64_t utc_micros);
int64_t mr_tz_to_utc(const struct mr_tz *tz, int64_t local_micros);
/* Abbreviation in force at an instant: "CET". */
const char *mr_tz_abbreviation(const struct mr_tz *tz, int64_t utc_micros);

#endif
