/* Data larger than memory: Perdure's engine in this process, without network, beside RocksDB and LMDB given the same rows.
 *
 *     store_bench --directory DIR [--gb N] [--budget 256MiB] [--group N] [--subjects LIST] [--phases LIST] …
 *
 *     load        every row once, in a random order, in groups; each is on stable storage before the next one begins
 *     restart     after that process has gone without a word; then until compaction rests, and after an orderly close
 *     read        gets of any row with the page cache dropped, warm, of hot sets, of what is missing; scans
 *     checkpoint  while rows are overwritten
 *     growth      overwrites, expiring puts and deletes of few rows: does the disk stay as full?
 *
 * Stores: perdure; memory, which is Perdure with a tenth of the rows (as many as are hot) and all of them in memory; rocksdb
 * and lmdb, with batches of the same size. Each phase runs in a process of its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/options.h"
#include "os/os.h"
#include "store_bench.h"

struct phase {
	const char *name;
	void (*run)(struct store_run *run);
	bool not_in_memory; /* it says nothing about a store that keeps everything there */
	bool apart;         /* on rows of its own */
};

static const struct phase phases[] = {
	{ "load", store_load, false, false },   { "restart", store_restart, false, false },
	{ "read", store_read, false, false },   { "checkpoint", store_checkpoint, true, false },
	{ "growth", store_growth, true, true },
};

struct store {
	const char *word; /* on the command line, and in JSON */
	const struct subject_ops *ops;
	bool all_in_memory;
};

static const struct store stores[] = {
	{ "perdure", &bench_subject_perdure, false },
	{ "memory", &bench_subject_perdure, true },
	{ "rocksdb", &bench_subject_rocksdb, false },
#ifdef BENCH_HAS_LMDB
	{ "lmdb", &bench_subject_lmdb, false },
#endif
};
#define STORES              (sizeof(stores) / sizeof(stores[0]))
#define IN_MEMORY_ROW_BYTES 1024u /* more than a row takes with all that belongs to it */

static bool listed(const char *list, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

/* ---- running ---- */

static bool run_apart(struct store_run *run, const struct phase *phase)
{
	pid_t child;
	int status = 0;

	(void)fflush(NULL);
	child = fork();
	if (child < 0)
		bench_die("store_bench", "cannot fork", "");
	if (child == 0) {
		phase->run(run);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0) {
		(void)fprintf(stderr, "store_bench: %s: %s failed\n", run->ops->name, phase->name);
		return false;
	}
	return true;
}

static void remove_tree(const char *path)
{
	struct pd_os *os = NULL;
	struct pd_error err = { 0 };

	if (pd_os_real_new(&os, &err) != 0 || pd_os_remove_tree(os, path, &err) != 0)
		bench_die("store_bench", "cannot remove what was there", err.text);
	pd_os_free(os);
}

static void prepare(struct store_run *run, const struct store_options *options, const struct store *store,
		    const char *suffix, uint64_t rows)
{
	*run = (struct store_run){ .options = options, .ops = store->ops, .result = run->result };
	bench_dataset_init(&run->dataset, rows, options->actors < rows ? options->actors : rows,
			   options->seed);
	(void)snprintf(run->directory, sizeof(run->directory), "%s/%s%s", options->directory, store->word,
		       suffix);
	run->config = (struct subject_config){
		.directory = run->directory,
		.dataset = &run->dataset,
		.budget_bytes = store->all_in_memory ? options->budget_bytes + rows * IN_MEMORY_ROW_BYTES
						     : options->budget_bytes,
		.compaction_bytes_per_s = options->compaction_bytes_per_s,
		.retention_bytes = options->retention_bytes,
		.all_in_memory = store->all_in_memory,
	};
}

static void remove_data(const struct store_run *run)
{
	char checkpoint[STORE_PATH_MAX + 16];

	(void)snprintf(checkpoint, sizeof(checkpoint), "%s-checkpoint", run->directory);
	remove_tree(checkpoint);
	remove_tree(run->directory);
}

/* The phases that were asked for; a store that failed in one is not asked for more. */
static bool run_store(const struct store_options *options, const struct store *store,
		      struct store_result *result)
{
	struct store_run run = { .result = result }, apart = run;
	bool well = true;

	prepare(&run, options, store, "", store->all_in_memory ? options->rows / STORE_HOT : options->rows);
	prepare(&apart, options, store, "-growth", options->growth_rows);
	if (listed(options->phases, "load"))
		remove_data(&run);
	remove_data(&apart);
	for (size_t i = 0; well && i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (listed(options->phases, phases[i].name) &&
		    !(phases[i].not_in_memory && store->all_in_memory))
			well = run_apart(phases[i].apart ? &apart : &run, phases + i);
	}
	if (!options->keep)
		remove_data(&run);
	remove_data(&apart);
	return well;
}

static bool run_all(const struct store_options *options)
{
	size_t size = STORES * sizeof(struct store_result);
	struct store_result *results = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
					    -1, 0);
	const char *words[STORES], *names[STORES];
	unsigned count = 0;
	bool well = true;

	if (results == MAP_FAILED)
		bench_die("store_bench", "no memory", "for results");
	for (size_t i = 0; i < STORES; i++) {
		if (!listed(options->subjects, stores[i].word))
			continue;
		results[count] = (struct store_result){
#define X(field, what, unit, better) .field = NAN,
			STORE_METRICS(X)
#undef X
		};
		words[count] = stores[i].word;
		names[count] = stores[i].all_in_memory ? "Perdure in memory" : stores[i].ops->name;
		well = run_store(options, stores + i, results + count) && well;
		count++;
	}
	store_print_table(results, names, count);
	if (options->json != NULL)
		store_write_json(options, results, words, count);
	(void)munmap(results, size);
	return well;
}

/* ---- the command line ---- */

struct arguments {
	struct store_options options;
	char *gb;
};

#define ROW(name, argument, kind, field, least, help)                                               \
	{                                                                                           \
		name, argument, PD_OPTION_##kind, offsetof(struct arguments, field), least, 0, help \
	}

static const struct pd_option table[] = {
	ROW("directory", "DIR", TEXT, options.directory, 0,
	    "Where the data goes, a directory that is there, on a disk."),
	ROW("gb", "N", TEXT, gb, 0, "Keys and values, in 10^9 bytes, such as 0.5 (default 1)."),
	ROW("actors", "N", NUMBER, options.actors, 1, "Whom they belong to (default 1000)."),
	ROW("budget", "SIZE", SIZE, options.budget_bytes, 1 << 20,
	    "Memory that each store may use (default 256MiB)."),
	ROW("group", "N", NUMBER, options.group, 1, "Puts that become durable together (default 128)."),
	ROW("compaction-rate", "SIZE", SIZE, options.compaction_bytes_per_s, 0,
	    "Background work may do so much I/O a second (default: no limit)."),
	ROW("retention", "SIZE", SIZE, options.retention_bytes, 0,
	    "Log that Perdure keeps beyond what recovery needs (default none)."),
	ROW("read-time", "TIME", DURATION_MS, options.read_ms, 1,
	    "Of each kind of gets and scans (default 5s)."),
	ROW("peer-time", "TIME", DURATION_MS, options.peer_ms, 0,
	    "After so long a peer's load goes on without syncs, unmeasured (default: never)."),
	ROW("growth-rows", "N", NUMBER, options.growth_rows, 100, "Of the phase growth (default 1000000)."),
	ROW("growth-time", "TIME", DURATION_MS, options.growth_ms, 100, "Of the phase growth (default 60s)."),
	ROW("subjects", "LIST", TEXT, options.subjects, 0, "Of perdure,memory,rocksdb,lmdb (default all)."),
	ROW("phases", "LIST", TEXT, options.phases, 0,
	    "Of load,restart,read,checkpoint,growth (default all). Without load the data of a\n"
	    "run with --keep is used."),
	ROW("seed", "N", NUMBER, options.seed, 0, "Of keys, values and their order (default 1)."),
	ROW("keep", NULL, SWITCH, options.keep, 0, "Leave the data where it is."),
	ROW("quiet", NULL, SWITCH, options.quiet, 0, "No line for each second."),
	ROW("json", "FILE", TEXT, options.json, 0, "Write the figures there as well."),
};

static const struct pd_options page = {
	.command = "store_bench",
	.synopsis = "store_bench --directory DIR [options]",
	.about = "Data larger than memory: Perdure's engine beside RocksDB and LMDB. Prints a table in "
		 "Markdown.",
	.table = table,
	.count = sizeof(table) / sizeof(table[0]),
};

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.options = { .actors = 1000,
			     .budget_bytes = 256 << 20,
			     .group = 128,
			     .read_ms = 5000,
			     .growth_rows = 1000000,
			     .growth_ms = 60000,
			     .seed = 1,
			     .subjects = "perdure,memory,rocksdb,lmdb",
			     .phases = "load,restart,read,checkpoint,growth" },
	};
	double gb = 1;
	char *end;
	int status;

	if (!pd_options_take(&page, argc, argv, &arguments, &status))
		return status;
	if (arguments.options.directory == NULL)
		return pd_options_wrong(&page, "--directory is needed");
	if (arguments.gb != NULL) {
		gb = strtod(arguments.gb, &end);
		if (*end != '\0' || !(gb > 0))
			return pd_options_wrong(&page, "--gb %s is not a size", arguments.gb);
	}
	arguments.options.rows = (uint64_t)(gb * 1e9 / BENCH_ROW_BYTES);
	return run_all(&arguments.options) ? 0 : 1;
}
