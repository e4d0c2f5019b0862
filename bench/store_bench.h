/* store_bench, inside: what is asked for, what is found out, and the phases. */
#ifndef BENCH_STORE_BENCH_H
#define BENCH_STORE_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/bench_histogram.h"
#include "peers/dataset.h"
#include "peers/subject.h"

#define STORE_PATH_MAX 4096
#define STORE_HOT      10u /* one of so many actors, or rows, is in the hot set */

struct store_options {
	const char *directory;
	uint64_t rows, actors, budget_bytes, compaction_bytes_per_s, retention_bytes;
	uint64_t group;   /* puts that are on stable storage together */
	uint64_t read_ms; /* of each kind of gets and of scans */
	uint64_t peer_ms; /* after which a peer's load goes on without syncs, unmeasured; 0: never */
	uint64_t growth_rows, growth_ms;
	const char *subjects, *phases; /* words separated by commas */
	uint64_t seed;
	bool keep, quiet;
	const char *json; /* a file; NULL: none */
};

/* X(field, what, unit, which way is better: > or <, or = for neither). NAN: not measured. */
#define STORE_METRICS(X)                                                                      \
	X(load_rate, "durable puts, sustained", "/s", '>')                                    \
	X(load_slowest_rate, "the slowest second of it", "/s", '>')                           \
	X(load_p50_us, "a group of puts, p50", "us", '<')                                     \
	X(load_p99_us, "p99", "us", '<')                                                      \
	X(load_max_us, "longest", "us", '<')                                                  \
	X(load_compacting_p99_us, "p99 while compaction ran", "us", '<')                      \
	X(load_compacting_ratio, "p99 while compaction ran, in medians", "", '<')             \
	X(load_cpu_us, "CPU per put, all threads", "us", '<')                                 \
	X(load_resident_mib, "most resident while loading", "MiB", '<')                       \
	X(load_level0_files, "most files in level 0", "", '<')                                \
	X(load_told_to_wait, "puts that were told to wait", "", '<')                          \
	X(load_disk_ratio, "disk after loading, to a byte of data", "", '<')                  \
	X(load_measured, "share of the load that was measured", "", '=')                      \
	X(restart_killed_s, "open after a kill", "s", '<')                                    \
	X(restart_records, "records replayed then", "", '<')                                  \
	X(settle_s, "until compaction had nothing left to do", "s", '<')                      \
	X(settled_disk_ratio, "disk then, to a byte of data", "", '<')                        \
	X(close_s, "close", "s", '<')                                                         \
	X(restart_s, "open after a close", "s", '<')                                          \
	X(cold_rate, "gets of any row, page cache dropped", "/s", '>')                        \
	X(cold_p50_us, "p50", "us", '<')                                                      \
	X(cold_p99_us, "p99", "us", '<')                                                      \
	X(hot_actors_rate, "gets of a tenth of the actors, warm", "/s", '>')                  \
	X(hot_actors_p99_us, "p99", "us", '<')                                                \
	X(hot_rows_rate, "gets of a tenth of the rows, scattered, warm", "/s", '>')           \
	X(hot_rows_p99_us, "p99", "us", '<')                                                  \
	X(any_rate, "gets of any row, warm", "/s", '>')                                       \
	X(any_p99_us, "p99", "us", '<')                                                       \
	X(missing_rate, "gets of keys that are not there", "/s", '>')                         \
	X(missing_p99_us, "p99", "us", '<')                                                   \
	X(scan_actor_rate, "rows of one actor, keys and values", "/s", '>')                   \
	X(scan_all_rate, "rows of everything, keys and values", "/s", '>')                    \
	X(scan_keys_rate, "keys of one actor by SCAN COUNT 1000", "/s", '>')                  \
	X(read_resident_mib, "most resident while reading", "MiB", '<')                       \
	X(load_checkpoint_s, "work of a checkpoint right after the load", "s", '<')           \
	X(load_checkpoint_mib, "read for it", "MiB", '<')                                     \
	X(checkpoint_s, "a checkpoint while rows are overwritten", "s", '<')                  \
	X(checkpoint_work_s, "its work, after 60 s of quiet and 2 s of overwrites", "s", '<') \
	X(checkpoint_mib, "read for it", "MiB", '<')                                          \
	X(checkpoint_longest_us, "longest group of puts during it", "us", '<')                \
	X(before_longest_us, "longest in the 2 s before it", "us", '<')                       \
	X(growth_rate, "overwrites, expiring puts and deletes", "/s", '>')                    \
	X(growth_first_mib, "disk after the first tenth of them", "MiB", '=')                 \
	X(growth_last_mib, "disk in the last tenth", "MiB", '<')                              \
	X(growth_most_mib, "disk at most", "MiB", '<')                                        \
	X(growth_ratio, "disk, last against first", "", '<')                                  \
	X(growth_resident_ratio, "resident, last against first", "", '<')

struct store_result {
#define X(field, what, unit, better) double field;
	STORE_METRICS(X)
#undef X
};

/* One store under measurement. `result` is shared with the children. */
struct store_run {
	const struct store_options *options;
	const struct subject_ops *ops;
	struct bench_dataset dataset;
	struct subject_config config;
	char directory[STORE_PATH_MAX];
	struct store_result *result;
};

/* Each in a process of its own, so that what one leaves in memory is not the next one's. */
void store_load(struct store_run *run);
void store_restart(struct store_run *run);
void store_read(struct store_run *run);
void store_checkpoint(struct store_run *run);
void store_growth(struct store_run *run);

/* Make one that tells what it has cost, and wait for it. false: the subject has no such. */
bool store_checkpoint_cost(struct store_run *run, struct subject *subject, double *ret_work_s,
			   double *ret_read_mib);

/* ---- putting groups ---- */
struct store_writer {
	struct store_run *run;
	struct subject *subject;
	struct bench_row *rows; /* the group's */
	uint64_t random;
};
void store_writer_init(struct store_writer *writer, struct store_run *run);
void store_writer_done(struct store_writer *writer);
/* Overwrite a group of rows at random; nanoseconds until all of it was on stable storage. */
uint64_t store_overwrite(struct store_writer *writer, uint64_t version);

/* ---- looking around ---- */
/* Of this process, in bytes: now, and the most so far. */
uint64_t store_resident(void);
uint64_t store_resident_most(void);
/* Everything under the path, as the file system counts. */
uint64_t store_disk_bytes(const char *path);
/* Of the open files and of this process, whatever was written is on the disk, and the page cache forgets it. */
void store_drop_pages(const char *path);
struct pd_bench_histogram *store_histogram_new(void);
static inline double store_quantile_us(const struct pd_bench_histogram *histogram, double share)
{
	return (double)pd_bench_histogram_quantile(histogram, share) / 1e3;
}

/* A Markdown table with ratios, and the same figures as JSON. `results[i]` is of `names[i]`. */
void store_print_table(const struct store_result *results, const char *const *names, unsigned count);
void store_write_json(const struct store_options *options, const struct store_result *results,
		      const char *const *names, unsigned count);

#endif
