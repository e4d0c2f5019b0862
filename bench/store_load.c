/* store_bench: loading, in groups. Where the subject can have several in flight, as a server's clients would, it has; else
 * each is on stable storage before the next one begins. A group's time is that from its first put until it is durable. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store_bench.h"

#define SECOND_NS     UINT64_C(1000000000)
#define LOOK_NS       (SECOND_NS / 10)
#define RELAXED_GROUP 10000u

struct flight {
	uint64_t start_ns, count;
};

struct load {
	struct store_run *run;
	struct subject *subject;
	struct bench_row *rows;
	struct pd_bench_histogram *all, *compacting, *second;
	struct subject_figures figures;
	struct flight flights[BENCH_FLIGHT_MAX];
	unsigned flight_head, flight_count;
	uint64_t done; /* rows */
	uint64_t start_ns, tick_ns, look_ns, second_ns;
	uint64_t seconds, level0_most;
	double slowest;
};

struct pd_bench_histogram *store_histogram_new(void)
{
	struct pd_bench_histogram *histogram = pd_bench_histogram_new();

	if (histogram == NULL)
		bench_die("store_bench", "no memory", "for a histogram");
	return histogram;
}

static double cpu_us(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void note_group(struct load *load, struct flight flight)
{
	uint64_t took = bench_now_ns() - flight.start_ns;

	pd_bench_histogram_add(load->all, took, flight.count);
	pd_bench_histogram_add(load->second, took, flight.count);
	if (load->figures.running_compactions > 0)
		pd_bench_histogram_add(load->compacting, took, flight.count);
}

/* Take in what has landed; with `most` flights at most left, if need be by waiting. */
static void take_in(struct load *load, unsigned most)
{
	while (load->flight_count > 0 && load->run->ops->landed(load->subject, load->flight_count > most)) {
		note_group(load, load->flights[load->flight_head]);
		load->flight_head = (load->flight_head + 1) % BENCH_FLIGHT_MAX;
		load->flight_count--;
	}
}

/* Put the next rows as one group. Making them up is not part of the time. */
static struct flight put_group(struct load *load, uint64_t count)
{
	const struct store_run *run = load->run;
	struct flight flight = { .count = count };

	for (uint64_t i = 0; i < count; i++) {
		uint64_t number = bench_dataset_place(&run->dataset, load->done + i);

		bench_row_key(&run->dataset, number, false, load->rows + i);
		bench_row_value(&run->dataset, number, 0, load->rows + i);
	}
	flight.start_ns = bench_now_ns();
	for (uint64_t i = 0; i < count; i++)
		run->ops->put(load->subject, load->rows + i);
	load->done += count;
	return flight;
}

static void put_measured(struct load *load, uint64_t count)
{
	struct flight flight;

	if (load->run->ops->submit == NULL) {
		flight = put_group(load, count);
		load->run->ops->commit(load->subject);
		note_group(load, flight);
		return;
	}
	take_in(load, BENCH_FLIGHT_MAX - 1);
	flight = put_group(load, count);
	load->run->ops->submit(load->subject);
	load->flights[(load->flight_head + load->flight_count++) % BENCH_FLIGHT_MAX] = flight;
}

static void tell_second(struct load *load, uint64_t now)
{
	double rate = (double)pd_bench_histogram_count(load->second) * SECOND_NS /
		      (double)(now - load->second_ns);

	load->slowest = rate < load->slowest ? rate : load->slowest;
	load->seconds++;
	if (!load->run->options->quiet) {
		(void)fprintf(stderr,
			      "%-8s %4" PRIu64
			      " s %9.0f puts/s, us p50 %6.0f p99 %7.0f max %8.0f, resident %5" PRIu64
			      " MiB, L0 %3" PRIu64 ", compacting %" PRIu64 ", pending %6" PRIu64
			      " MiB, told to wait %" PRIu64 "\n",
			      load->run->ops->name, load->seconds, rate, store_quantile_us(load->second, 0.5),
			      store_quantile_us(load->second, 0.99),
			      (double)pd_bench_histogram_max(load->second) / 1e3, store_resident() >> 20,
			      load->figures.level0_files, load->figures.running_compactions,
			      load->figures.pending_compaction_bytes >> 20, load->figures.told_to_wait);
	}
	pd_bench_histogram_free(load->second);
	load->second = store_histogram_new();
	load->second_ns = now;
	load->tick_ns = now + SECOND_NS;
}

static void look(struct load *load, uint64_t now)
{
	load->run->ops->figures(load->subject, &load->figures);
	if (load->figures.level0_files > load->level0_most)
		load->level0_most = load->figures.level0_files;
	load->look_ns = now + LOOK_NS;
	if (now >= load->tick_ns)
		tell_second(load, now);
}

static bool limited(const struct load *load, uint64_t now)
{
	const struct store_run *run = load->run;

	return run->ops->relax != NULL && run->options->peer_ms > 0 &&
	       now - load->start_ns > run->options->peer_ms * 1000000;
}

static void measure(struct load *load)
{
	const struct store_run *run = load->run;

	load->start_ns = load->second_ns = bench_now_ns();
	load->tick_ns = load->start_ns + SECOND_NS;
	while (load->done < run->dataset.rows) {
		uint64_t left = run->dataset.rows - load->done;
		uint64_t count = left < run->options->group ? left : run->options->group;
		uint64_t now;

		put_measured(load, count);
		now = bench_now_ns();
		if (now >= load->look_ns)
			look(load, now);
		if (limited(load, now))
			break;
	}
	take_in(load, 0);
}

/* The rest, so that the other phases find the same data. */
static void load_the_rest(struct load *load)
{
	const struct store_run *run = load->run;

	if (load->done == run->dataset.rows)
		return;
	run->ops->relax(load->subject, true);
	while (load->done < run->dataset.rows) {
		uint64_t left = run->dataset.rows - load->done;

		(void)put_group(load, left < RELAXED_GROUP ? left : RELAXED_GROUP);
		run->ops->commit(load->subject);
	}
	run->ops->relax(load->subject, false);
}

static void note(const struct load *load, double seconds, double cpu)
{
	struct store_result *result = load->run->result;
	uint64_t measured = pd_bench_histogram_count(load->all);

	result->load_rate = (double)measured / seconds;
	if (load->seconds > 0)
		result->load_slowest_rate = load->slowest;
	result->load_p50_us = store_quantile_us(load->all, 0.5);
	result->load_p99_us = store_quantile_us(load->all, 0.99);
	result->load_max_us = (double)pd_bench_histogram_max(load->all) / 1e3;
	if (pd_bench_histogram_count(load->compacting) > 0) {
		result->load_compacting_p99_us = store_quantile_us(load->compacting, 0.99);
		result->load_compacting_ratio = result->load_compacting_p99_us / result->load_p50_us;
	}
	result->load_cpu_us = cpu / (double)measured;
	result->load_level0_files = (double)load->level0_most;
	result->load_told_to_wait = (double)load->figures.told_to_wait;
	result->load_resident_mib = (double)store_resident_most() / 1048576;
	result->load_measured = (double)measured / (double)load->run->dataset.rows;
}

/* It leaves nothing to replay, so that some rows come once more: a start is to find about as much as without it. */
static void try_checkpoint(struct load *load)
{
	struct store_run *run = load->run;
	uint64_t again = run->options->budget_bytes / 16 / BENCH_ROW_BYTES;

	if (!store_checkpoint_cost(run, load->subject, &run->result->load_checkpoint_s,
				   &run->result->load_checkpoint_mib))
		return;
	for (load->done = 0; load->done < again && load->done < run->dataset.rows;) {
		uint64_t left = run->dataset.rows - load->done;

		(void)put_group(load, left < run->options->group ? left : run->options->group);
		run->ops->commit(load->subject);
	}
}

void store_load(struct store_run *run)
{
	uint64_t group = run->options->group > RELAXED_GROUP ? run->options->group : RELAXED_GROUP;
	struct load load = { .run = run, .slowest = INFINITY };
	double seconds, cpu;

	load.rows = calloc(group, sizeof(*load.rows));
	if (load.rows == NULL)
		bench_die("store_bench", "no memory", "for a group");
	load.all = store_histogram_new();
	load.compacting = store_histogram_new();
	load.second = store_histogram_new();
	load.subject = run->ops->open(&run->config);
	cpu = cpu_us();
	measure(&load);
	seconds = (double)(bench_now_ns() - load.start_ns) / 1e9;
	cpu = cpu_us() - cpu;
	look(&load, bench_now_ns());
	note(&load, seconds, cpu);
	load_the_rest(&load);
	run->result->load_disk_ratio = (double)store_disk_bytes(run->directory) /
				       (double)(run->dataset.rows * BENCH_ROW_BYTES);
	try_checkpoint(&load);
	_exit(0); /* as a kill would end it: the next phase finds out what that costs */
}
