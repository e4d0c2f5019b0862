/* `perdure top`: what a server says of itself at one moment, and what happened between two. */
#ifndef PD_CLI_TOP_PRIVATE_H
#define PD_CLI_TOP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"
#include "cli/link.h"
#include "cli/output.h"
#include "engine/engine.h"
#include "os/os.h"

#define PD_TOP_CLASSES      4
#define PD_TOP_COMMANDS_MAX 320
#define PD_TOP_PARTS_MAX    24
#define PD_TOP_FIGURES_MAX  64
#define PD_TOP_NAME_SIZE    40
#define PD_TOP_SHOWN        5 /* of the commands, and of the actors: the busiest */

extern const char *const pd_top_class_names[PD_TOP_CLASSES];

struct pd_top_command {
	char name[PD_TOP_NAME_SIZE];
	uint64_t calls;
};

struct pd_top_part {
	char name[PD_TOP_NAME_SIZE];
	uint64_t bytes, limit; /* limit 0: none of its own */
};

struct pd_top_figure {
	char name[PD_TOP_NAME_SIZE];
	uint64_t value;
};

struct pd_top_actor {
	uint8_t tenant[PD_NAME_SIZE_MAX], name[PD_NAME_SIZE_MAX];
	size_t tenant_size, name_size;
	uint64_t per_second; /* as the server reckons it */
};

/* One moment. Counters grow from the server's start on. */
struct pd_top_sample {
	uint64_t taken_ns, real_us;
	uint64_t process_id; /* another one: the counters began anew */
	char version[PD_TOP_NAME_SIZE], durability[PD_TOP_NAME_SIZE], trouble[120];
	bool loading;
	uint64_t recovery_bytes, recovery_total_bytes;
	uint64_t uptime_s, epoch, tail_lsn, durable_lsn, keys, actors;
	uint64_t clients, holding, waiting_reader, waiting_memory, waiting_brake, waiting_other;
	uint64_t received_bytes, sent_bytes, cpu_us;
	struct pd_histogram evaluation[PD_TOP_CLASSES];
	uint64_t failed[PD_TOP_CLASSES];
	struct pd_histogram group_write, sync, group_records, settling;
	uint64_t log_bytes_written;
	uint64_t budget, used, resident;
	struct pd_top_part parts[PD_TOP_PARTS_MAX];
	size_t part_count;
	struct pd_top_figure figures[PD_TOP_FIGURES_MAX];
	size_t figure_count;
	struct pd_top_command commands[PD_TOP_COMMANDS_MAX];
	size_t command_count;
	struct pd_top_actor hot[PD_TOP_SHOWN]; /* the busiest first */
	size_t hot_count;
};

/* Ask the server. PD_NOT_SUPPORTED: it is no Perdure; else as pd_target_ask(). */
PD_MUST_CHECK int pd_top_take(struct pd_top_sample *sample, struct pd_os *os, struct pd_link *link,
			      struct pd_error *err);
/* A figure of PD.STORE STATS; 0 where there is none. */
uint64_t pd_top_figure(const struct pd_top_sample *sample, const char *name);

/* What happened between two samples, of one process. */
struct pd_top_times {
	double per_second, p50_us, p99_us; /* of records: plain numbers */
	uint64_t count;
};

struct pd_top_rates {
	double seconds;
	struct pd_top_times classes[PD_TOP_CLASSES];
	double errors_per_second[PD_TOP_CLASSES];
	struct pd_top_times group_write, sync;
	struct pd_top_times settling; /* of replies that waited for the log */
	double records_per_second, records_per_group;
	double log_bytes_per_second, received_per_second, sent_per_second, cpu_share;
	struct pd_top_command busiest[PD_TOP_SHOWN]; /* calls: within the time */
	size_t busiest_count;
};
/* Before a first sample, or from another process: all zeros but what needs only one. */
void pd_top_compare(const struct pd_top_sample *before, const struct pd_top_sample *now,
		    struct pd_top_rates *ret_rates);

/* The value below which this share of the histogram's values lies, by its buckets; 0: it is empty. */
double pd_top_quantile(const struct pd_histogram *histogram, double share);

/* ---- showing it ---- */
struct pd_top_view {
	const struct pd_top_sample *sample;
	const struct pd_top_rates *rates;
	const char *server;
	double interval_s;
	const char *notice; /* NULL, or what is to be said instead of figures */
};

/* A whole screen, of so many rows and columns. */
void pd_top_draw(struct pd_output *output, const struct pd_top_view *view, unsigned rows, unsigned columns);
/* One line; with_header: names of the columns above it. */
void pd_top_line(struct pd_output *output, const struct pd_top_view *view, bool with_header);
void pd_top_json(struct pd_output *output, const struct pd_top_view *view);

#endif
