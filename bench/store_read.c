/* store_bench: gets and scans. */
#include <stdio.h>
#include <string.h>

#include "store_bench.h"

#define CHECKED_BYTES 16 /* of each value that is read */

enum which {
	ANY,        /* every row */
	HOT_ACTORS, /* the rows of a tenth of the actors */
	HOT_ROWS,   /* a tenth of the rows of each actor */
	MISSING,    /* keys that are not there, of actors that are */
};

struct reader {
	struct store_run *run;
	struct subject *subject;
	uint64_t random;
};

/* Row q * actors + r is the qth of actor r. */
static uint64_t draw(struct reader *reader, enum which which)
{
	const struct bench_dataset *dataset = &reader->run->dataset;
	uint64_t chance = bench_random(&reader->random), number = chance % dataset->rows;
	uint64_t hot = dataset->actors / STORE_HOT > 0 ? dataset->actors / STORE_HOT : 1;

	if (which == HOT_ACTORS)
		number = number - number % dataset->actors + (chance >> 40) % hot;
	else if (which == HOT_ROWS)
		number -= number / dataset->actors % STORE_HOT * dataset->actors;
	return number < dataset->rows ? number : number % dataset->rows;
}

static void get_one(struct reader *reader, enum which which)
{
	const struct store_run *run = reader->run;
	uint64_t number = draw(reader, which);
	struct bench_row row;
	const uint8_t *value;

	bench_row_key(&run->dataset, number, which == MISSING, &row);
	value = run->ops->get(reader->subject, &row);
	if ((value == NULL) != (which == MISSING))
		bench_die(run->ops->name, "a key is missing, or there", "and should not be");
	if (value == NULL)
		return;
	bench_row_value(&run->dataset, number, 0, &row);
	if (memcmp(value, row.value, CHECKED_BYTES) != 0)
		bench_die(run->ops->name, "a value is not what was put", "");
}

static double gets_for(struct reader *reader, enum which which, uint64_t ms, struct pd_bench_histogram *took)
{
	uint64_t start = bench_now_ns(), before = start, now = start, count = 0;

	for (; now - start < ms * 1000000; count++) {
		get_one(reader, which);
		now = bench_now_ns();
		pd_bench_histogram_add(took, now - before, 1);
		before = now;
	}
	return (double)count / ((double)(now - start) / 1e9);
}

static void look_up(struct reader *reader, enum which which, bool warm, double *ret_rate, double *ret_p50_us,
		    double *ret_p99_us)
{
	struct pd_bench_histogram *took = store_histogram_new();
	uint64_t ms = reader->run->options->read_ms;

	if (warm)
		(void)gets_for(reader, which, ms, took);
	pd_bench_histogram_free(took);
	took = store_histogram_new();
	*ret_rate = gets_for(reader, which, ms, took);
	if (ret_p50_us != NULL)
		*ret_p50_us = store_quantile_us(took, 0.5);
	*ret_p99_us = store_quantile_us(took, 0.99);
	pd_bench_histogram_free(took);
}

/* ---- scans ---- */

static void expect_rows(const struct reader *reader, uint64_t rows, uint64_t expected)
{
	char text[64];

	if (rows == expected || rows == UINT64_MAX)
		return;
	(void)snprintf(text, sizeof(text), "%llu rows instead of %llu", (unsigned long long)rows,
		       (unsigned long long)expected);
	bench_die(reader->run->ops->name, "a scan", text);
}

static double scan_actors(struct reader *reader, uint64_t (*scan)(struct subject *, uint64_t))
{
	const struct store_run *run = reader->run;
	uint64_t start = bench_now_ns(), now = start, rows = 0;

	for (; now - start < run->options->read_ms * 1000000; now = bench_now_ns()) {
		uint64_t actor = bench_random(&reader->random) % run->dataset.actors;
		uint64_t expected = bench_dataset_rows_of(&run->dataset, actor);

		expect_rows(reader, scan(reader->subject, actor), expected);
		rows += expected;
	}
	return (double)rows / ((double)(now - start) / 1e9);
}

static void scans(struct reader *reader)
{
	const struct store_run *run = reader->run;
	struct store_result *result = run->result;
	uint64_t start;

	result->scan_actor_rate = scan_actors(reader, run->ops->scan_actor);
	if (run->ops->scan_keys != NULL)
		result->scan_keys_rate = scan_actors(reader, run->ops->scan_keys);
	start = bench_now_ns();
	expect_rows(reader, run->ops->scan_all(reader->subject), run->dataset.rows);
	result->scan_all_rate = (double)run->dataset.rows / ((double)(bench_now_ns() - start) / 1e9);
}

void store_read(struct store_run *run)
{
	struct reader reader = { .run = run, .random = run->options->seed + 1 };
	struct store_result *result = run->result;

	store_drop_pages(run->directory);
	reader.subject = run->ops->open(&run->config);
	if (!run->config.all_in_memory)
		look_up(&reader, ANY, false, &result->cold_rate, &result->cold_p50_us, &result->cold_p99_us);
	/* All files are in the page cache then, if it holds them: what comes now is warm, for every store alike. */
	scans(&reader);
	look_up(&reader, ANY, true, &result->any_rate, NULL, &result->any_p99_us);
	look_up(&reader, HOT_ROWS, true, &result->hot_rows_rate, NULL, &result->hot_rows_p99_us);
	look_up(&reader, HOT_ACTORS, true, &result->hot_actors_rate, NULL, &result->hot_actors_p99_us);
	look_up(&reader, MISSING, true, &result->missing_rate, NULL, &result->missing_p99_us);
	result->read_resident_mib = (double)store_resident_most() / 1048576;
	run->ops->close(reader.subject);
}
