/* store_bench: restarts, checkpoints, and whether the disk stays as full as what lives. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/os.h"
#include "store_bench.h"

#define SETTLE_NS_MAX  UINT64_C(120000000000)
#define SETTLE_CALM_NS UINT64_C(500000000) /* nothing to do for so long */
#define BASELINE_NS    UINT64_C(2000000000)
#define QUIET_NS       UINT64_C(60000000000) /* what lies at rest is read ahead meanwhile */
#define EXPIRE_MS_MAX  2000u
#define SAMPLES_MAX    10000u

static double seconds_since(uint64_t start_ns)
{
	return (double)(bench_now_ns() - start_ns) / 1e9;
}

/* ---- restarts ---- */

static void settle(struct store_run *run, struct subject *subject)
{
	uint64_t start = bench_now_ns(), busy = start;
	struct subject_figures figures;

	while (bench_now_ns() - busy < SETTLE_CALM_NS && bench_now_ns() - start < SETTLE_NS_MAX) {
		run->ops->idle(subject);
		run->ops->figures(subject, &figures);
		if (figures.running_compactions > 0 || figures.pending_compaction_bytes > 0)
			busy = bench_now_ns();
	}
	run->result->settle_s = (double)(busy - start) / 1e9;
}

void store_restart(struct store_run *run)
{
	uint64_t start = bench_now_ns();
	struct subject *subject = run->ops->open(&run->config);
	struct subject_figures figures;

	run->result->restart_killed_s = seconds_since(start);
	run->ops->figures(subject, &figures);
	run->result->restart_records = (double)figures.recovered_records;
	settle(run, subject);
	run->result->settled_disk_ratio = (double)store_disk_bytes(run->directory) /
					  (double)(run->dataset.rows * BENCH_ROW_BYTES);
	start = bench_now_ns();
	run->ops->close(subject);
	run->result->close_s = seconds_since(start);
	start = bench_now_ns();
	subject = run->ops->open(&run->config);
	run->result->restart_s = seconds_since(start);
	run->ops->close(subject);
}

/* ---- writing at random ---- */

void store_writer_init(struct store_writer *writer, struct store_run *run)
{
	*writer = (struct store_writer){ .run = run, .random = run->options->seed + 2 };
	writer->rows = calloc(run->options->group, sizeof(*writer->rows));
	if (writer->rows == NULL)
		bench_die("store_bench", "no memory", "for a group");
	writer->subject = run->ops->open(&run->config);
}

void store_writer_done(struct store_writer *writer)
{
	writer->run->ops->close(writer->subject);
	free(writer->rows);
}

uint64_t store_overwrite(struct store_writer *writer, uint64_t version)
{
	const struct store_run *run = writer->run;
	uint64_t start;

	for (uint64_t i = 0; i < run->options->group; i++) {
		uint64_t number = bench_random(&writer->random) % run->dataset.rows;

		bench_row_key(&run->dataset, number, false, writer->rows + i);
		bench_row_value(&run->dataset, number, version, writer->rows + i);
	}
	start = bench_now_ns();
	for (uint64_t i = 0; i < run->options->group; i++)
		run->ops->put(writer->subject, writer->rows + i);
	run->ops->commit(writer->subject);
	return bench_now_ns() - start;
}

/* ---- checkpoints ---- */

static void note_cost(struct store_run *run, struct subject *subject, double *ret_work_s,
		      double *ret_read_mib)
{
	uint64_t work_us, read_bytes;

	if (run->ops->checkpoint_cost == NULL)
		return;
	run->ops->checkpoint_cost(subject, &work_us, &read_bytes);
	*ret_work_s = (double)work_us / 1e6;
	*ret_read_mib = (double)read_bytes / 1048576;
}

bool store_checkpoint_cost(struct store_run *run, struct subject *subject, double *ret_work_s,
			   double *ret_read_mib)
{
	if (run->ops->checkpoint_cost == NULL || !run->ops->checkpoint_begin(subject, NULL))
		return false;
	while (run->ops->checkpoint_running(subject))
		bench_sleep_ms(1);
	note_cost(run, subject, ret_work_s, ret_read_mib);
	return true;
}

static void be_quiet(struct store_run *run, struct subject *subject)
{
	uint64_t start = bench_now_ns();

	while (bench_now_ns() - start < QUIET_NS)
		run->ops->idle(subject);
}

void store_checkpoint(struct store_run *run)
{
	struct store_writer writer;
	char path[STORE_PATH_MAX + 16];
	uint64_t start, took, longest = 0, version = 1;

	store_writer_init(&writer, run);
	if (run->ops->checkpoint_cost != NULL)
		be_quiet(run, writer.subject);
	for (start = bench_now_ns(); bench_now_ns() - start < BASELINE_NS;) {
		took = store_overwrite(&writer, version++);
		longest = took > longest ? took : longest;
	}
	run->result->before_longest_us = (double)longest / 1e3;
	(void)snprintf(path, sizeof(path), "%s-checkpoint", run->directory);
	start = bench_now_ns();
	longest = 0;
	if (run->ops->checkpoint_begin(writer.subject, path)) {
		do {
			took = store_overwrite(&writer, version++);
			longest = took > longest ? took : longest;
		} while (run->ops->checkpoint_running(writer.subject));
		run->result->checkpoint_s = seconds_since(start);
		run->result->checkpoint_longest_us = (double)longest / 1e3;
		note_cost(run, writer.subject, &run->result->checkpoint_work_s, &run->result->checkpoint_mib);
	}
	store_writer_done(&writer);
}

/* ---- growth ---- */

/* Every row once: what grows after that is not the data. */
static void fill(struct store_writer *writer)
{
	const struct store_run *run = writer->run;

	for (uint64_t i = 0; i < run->dataset.rows; i++) {
		uint64_t number = bench_dataset_place(&run->dataset, i);

		bench_row_key(&run->dataset, number, false, writer->rows);
		bench_row_value(&run->dataset, number, 0, writer->rows);
		run->ops->put(writer->subject, writer->rows);
		if (i % run->options->group == run->options->group - 1)
			run->ops->commit(writer->subject);
	}
	run->ops->commit(writer->subject);
}

/* Half of the rows are only overwritten, a quarter expires soon, a quarter is deleted and comes again. */
static uint64_t churn(struct store_writer *writer, uint64_t version)
{
	const struct store_run *run = writer->run;
	uint64_t quarter = run->dataset.rows / 4;

	for (uint64_t i = 0; i < run->options->group; i++) {
		uint64_t chance = bench_random(&writer->random);
		uint64_t number = chance % run->dataset.rows;
		struct bench_row *row = writer->rows;

		bench_row_key(&run->dataset, number, false, row);
		bench_row_value(&run->dataset, number, version, row);
		if (number < quarter && (chance >> 60) % 2 == 0)
			run->ops->remove(writer->subject, row);
		else if (number >= quarter && number < 2 * quarter && run->ops->put_expiring != NULL)
			run->ops->put_expiring(writer->subject, row,
					       1 + (unsigned)(chance >> 40) % EXPIRE_MS_MAX);
		else
			run->ops->put(writer->subject, row);
	}
	run->ops->commit(writer->subject);
	return run->options->group;
}

struct samples {
	double disk[SAMPLES_MAX], resident[SAMPLES_MAX];
	unsigned count;
};

static void sample(struct samples *samples, const char *directory)
{
	if (samples->count == SAMPLES_MAX)
		return;
	samples->disk[samples->count] = (double)store_disk_bytes(directory) / 1048576;
	samples->resident[samples->count++] = (double)store_resident() / 1048576;
}

static double mean(const double *values, unsigned from, unsigned to)
{
	double sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += values[i];
	return sum / (to - from);
}

/* The first tenth is warming up: the second one is what the last is compared with. */
static void judge(const struct samples *samples, struct store_result *result)
{
	unsigned tenth = samples->count / 10, last = samples->count;

	if (tenth == 0)
		return;
	result->growth_first_mib = mean(samples->disk, tenth, 2 * tenth);
	result->growth_last_mib = mean(samples->disk, last - tenth, last);
	result->growth_most_mib = 0;
	for (unsigned i = 0; i < last; i++)
		result->growth_most_mib = fmax(result->growth_most_mib, samples->disk[i]);
	result->growth_ratio = result->growth_last_mib / result->growth_first_mib;
	result->growth_resident_ratio = mean(samples->resident, last - tenth, last) /
					mean(samples->resident, tenth, 2 * tenth);
}

void store_growth(struct store_run *run)
{
	struct samples *samples = calloc(1, sizeof(*samples));
	uint64_t every_ns = run->options->growth_ms * 1000000 / 200, next, start, count = 0;
	struct store_writer writer;

	if (samples == NULL)
		bench_die("store_bench", "no memory", "for samples");
	store_writer_init(&writer, run);
	fill(&writer);
	start = bench_now_ns();
	next = start + every_ns;
	for (uint64_t version = 1; bench_now_ns() - start < run->options->growth_ms * 1000000; version++) {
		count += churn(&writer, version);
		if (bench_now_ns() >= next) {
			sample(samples, run->directory);
			next = bench_now_ns() + every_ns;
		}
	}
	run->result->growth_rate = (double)count / seconds_since(start);
	judge(samples, run->result);
	store_writer_done(&writer);
	free(samples);
}
