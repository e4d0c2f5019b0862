/* The simulated machine as a whole: birth, faults, crashes, clocks, chance, tasks and the trace. */
#include "os/sim.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "os/sim_private.h"

#define SIM_2026_US       1767225600000000ULL /* 2026-01-01 00:00:00 UTC */
#define SIM_YEAR_US       (365ULL * 24 * 3600 * 1000000)
#define SIM_MEMORY_BYTES  (1ULL << 30)
#define SIM_ENDLESS_BYTES (1ULL << 50) /* free on a disk without a limit: more than anybody writes */

struct sim_task {
	struct pd_os_task base;
	void (*run)(void *argument); /* NULL: it has run */
	void *argument;
};

/* ---- faults and the trace ---- */

void pd_sim_trace(struct pd_sim *sim, uint64_t number)
{
	sim->trace = pd_sim_mix(sim->trace ^ number);
}

uint64_t pd_sim_trace_string(const char *string)
{
	return pd_hash64(pd_slice_string(string), 0);
}

/* What may change the disk is part of the shape of what is done, wherever it is and however much. */
static void note_effect(struct pd_sim *sim, enum pd_os_operation operation, uint64_t subject, uint64_t a,
			uint64_t b)
{
	uint64_t number = sim->operations - sim->effects_from;

	if (operation == PD_OS_OP_READ || operation == PD_OS_OP_LIST ||
	    (operation == PD_OS_OP_OPEN && (a & PD_OS_CREATE) == 0))
		return;
	sim->shape = pd_sim_mix(sim->shape ^ (uint64_t)operation);
	sim->shape = pd_sim_mix(sim->shape ^ subject);
	sim->shape = pd_sim_mix(sim->shape ^ a);
	sim->shape = pd_sim_mix(sim->shape ^ b);
	if (number <= sim->effects_size && number > 0)
		sim->effects[number - 1] = 1;
}

enum pd_sim_verdict pd_sim_begin(struct pd_sim *sim, enum pd_os_operation operation, uint64_t subject,
				 uint64_t a, uint64_t b, int *ret_errnum)
{
	if (sim->crashed)
		return PD_SIM_DEAD;
	sim->operations++;
	pd_sim_trace(sim, (uint64_t)operation);
	pd_sim_trace(sim, subject);
	pd_sim_trace(sim, a);
	pd_sim_trace(sim, b);
	note_effect(sim, operation, subject, a, b);
	if (sim->crash_in > 0 && --sim->crash_in == 0) {
		sim->crashed = true;
		return PD_SIM_DIES;
	}
	if (sim->fail_in[operation] > 0 && --sim->fail_in[operation] == 0) {
		*ret_errnum = sim->fail_errnum[operation];
		return PD_SIM_FAIL;
	}
	if (sim->fail_any_in > 1) {
		sim->fail_any_in--;
	} else if (sim->fail_any_in == 1) {
		if (!sim->fail_any_for_good)
			sim->fail_any_in = 0;
		*ret_errnum = sim->fail_any_errnum;
		return PD_SIM_FAIL;
	}
	return PD_SIM_GO;
}

int pd_sim_end(struct pd_sim *sim, int errnum, struct pd_error *err, const char *verb, const char *path)
{
	pd_sim_trace(sim, (uint64_t)errnum);
	return errnum == 0 ? 0 : pd_error_system(err, errnum, "cannot %s '%s'", verb, path);
}

int pd_sim_refuse(struct pd_sim *sim, enum pd_sim_verdict verdict, int errnum, struct pd_error *err,
		  const char *verb, const char *path)
{
	if (verdict == PD_SIM_FAIL)
		return pd_sim_end(sim, errnum, err, verb, path);
	return pd_error_set(err, PD_IO, "cannot %s '%s': the simulated process has died", verb, path);
}

void pd_sim_crash_at(struct pd_os *os, uint64_t n)
{
	pd_sim_of(os)->crash_in = n;
}

bool pd_sim_crashed(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->crashed;
}

void pd_sim_fail_at(struct pd_os *os, enum pd_os_operation operation, uint64_t n, int errnum)
{
	struct pd_sim *sim = pd_sim_of(os);

	PD_ASSERT(operation < PD_OS_OP_COUNT && (n == 0 || errnum > 0));
	sim->fail_in[operation] = n;
	sim->fail_errnum[operation] = errnum;
}

void pd_sim_fail_from(struct pd_os *os, uint64_t n, int errnum, bool for_good)
{
	struct pd_sim *sim = pd_sim_of(os);

	sim->fail_any_in = n;
	sim->fail_any_errnum = errnum;
	sim->fail_any_for_good = for_good;
}

uint64_t pd_sim_operations(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->operations;
}

void pd_sim_note_effects(struct pd_os *os, uint8_t *effects, size_t size)
{
	struct pd_sim *sim = pd_sim_of(os);

	if (size > 0)
		memset(effects, 0, size);
	sim->effects = effects;
	sim->effects_size = size;
	sim->effects_from = sim->operations;
}

uint64_t pd_sim_shape(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->shape;
}

uint64_t pd_sim_combinations(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->random.combinations;
}

uint64_t pd_sim_writes_astray(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->astray;
}

uint64_t pd_sim_trace_hash(const struct pd_os *os)
{
	return ((const struct pd_sim *)os)->trace;
}

/* ---- crashes ---- */

static void process_ends(struct pd_sim *sim)
{
	sim->process++;
	sim->crashed = false;
	sim->crash_in = 0;
}

void pd_sim_power_cut(struct pd_os *os)
{
	struct pd_sim *sim = pd_sim_of(os);

	pd_sim_trace(sim, UINT64_MAX);
	pd_sim_queues_abandon(sim);
	pd_sim_tears_decide(sim);
	pd_sim_tree_power_cut(sim);
	for (struct pd_sim_node *node = sim->nodes; node != NULL; node = node->next) {
		pd_sim_content_power_cut(&sim->disk, &node->content);
		if (node->names > 0)
			pd_sim_content_charge(&sim->disk, &node->content);
	}
	process_ends(sim);
}

void pd_sim_process_crash(struct pd_os *os)
{
	struct pd_sim *sim = pd_sim_of(os);

	pd_sim_trace(sim, UINT64_MAX - 1);
	pd_sim_queues_abandon(sim);
	pd_sim_tears_decide(sim);
	process_ends(sim);
}

/* ---- the disk itself ---- */

uint64_t pd_sim_image_hash(const struct pd_os *os)
{
	const struct pd_sim *sim = (const struct pd_sim *)os;

	return pd_sim_tree_hash(sim->root, 0);
}

static int find_file(struct pd_sim *sim, const char *path, struct pd_sim_node **ret_node)
{
	struct pd_sim_node *node;

	if (pd_sim_lookup(sim, path, &node) != 0 || node->is_directory)
		return PD_NOT_FOUND;
	*ret_node = node;
	return 0;
}

int pd_sim_content(struct pd_os *os, const char *path, const uint8_t **ret_data, uint64_t *ret_size)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	int rc = find_file(sim, path, &node);

	if (rc != 0)
		return rc;
	if (sim->shown == NULL || sim->shown_capacity < node->content.size) {
		uint8_t *grown = pd_realloc(sim->shown, (size_t)node->content.size);

		if (grown == NULL)
			return PD_NO_MEMORY;
		sim->shown = grown;
		sim->shown_capacity = (size_t)node->content.size;
	}
	*ret_size = pd_sim_content_read(&node->content, sim->shown, (size_t)node->content.size, 0);
	*ret_data = sim->shown;
	return 0;
}

int pd_sim_damage(struct pd_os *os, const char *path, uint64_t offset, const void *data, size_t size)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	int rc = find_file(sim, path, &node);

	if (rc != 0)
		return rc;
	if (offset > node->content.size || size > node->content.size - offset)
		return PD_INVALID;
	pd_sim_trace(sim, offset);
	pd_sim_trace(sim, pd_hash64(pd_slice(data, size), 0));
	return pd_sim_content_patch(&sim->disk, &node->content, offset, data, size) == 0 ? 0 : PD_NO_MEMORY;
}

int pd_sim_flip_bit(struct pd_os *os, const char *path, uint64_t offset, unsigned bit)
{
	struct pd_sim_node *node;
	uint8_t byte;
	int rc = find_file(pd_sim_of(os), path, &node);

	if (rc != 0)
		return rc;
	if (bit > 7 || pd_sim_content_read(&node->content, &byte, 1, offset) != 1)
		return PD_INVALID;
	byte ^= (uint8_t)(1U << bit);
	return pd_sim_damage(os, path, offset, &byte, 1);
}

/* ---- clock and chance ---- */

void pd_sim_advance_us(struct pd_os *os, uint64_t us)
{
	struct pd_sim *sim = pd_sim_of(os);

	sim->real_us += us;
	sim->monotonic_ns += us * 1000;
	pd_sim_trace(sim, us);
}

void pd_sim_jump_real_us(struct pd_os *os, int64_t us)
{
	struct pd_sim *sim = pd_sim_of(os);

	sim->real_us += (uint64_t)us;
	pd_sim_trace(sim, (uint64_t)us);
}

static uint64_t sim_real_us(struct pd_os *os)
{
	return pd_sim_of(os)->real_us;
}

static uint64_t sim_monotonic_ns(struct pd_os *os)
{
	return pd_sim_of(os)->monotonic_ns;
}

static void sim_random(struct pd_os *os, void *data, size_t size)
{
	struct pd_sim *sim = pd_sim_of(os);
	uint8_t *to = data;

	while (size > 0) {
		uint64_t number = pd_sim_random_next(&sim->keys);
		size_t part = size < sizeof number ? size : sizeof number;

		memcpy(to, &number, part);
		to += part;
		size -= part;
	}
}

/* ---- memory and room ---- */

static uint64_t sim_process_memory(struct pd_os *os)
{
	(void)os; /* what the machine itself takes would differ from run to run */
	return 0;
}

static uint64_t sim_machine_memory(struct pd_os *os)
{
	const struct pd_sim *sim = pd_sim_of(os);

	return sim->options.memory_bytes > 0 ? sim->options.memory_bytes : SIM_MEMORY_BYTES;
}

static int sim_disk_free(struct pd_os *os, const char *path, uint64_t *ret_bytes, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	const struct pd_sim_disk *disk = &sim->disk;
	struct pd_sim_node *node;
	int rc;

	if (sim->crashed)
		return pd_sim_refuse(sim, PD_SIM_DEAD, 0, err, "look at", path);
	rc = pd_sim_lookup(sim, path, &node);
	if (rc != 0)
		return pd_sim_end(sim, rc, err, "look at", path);
	if (disk->limit_pages == UINT64_MAX)
		*ret_bytes = SIM_ENDLESS_BYTES;
	else if (disk->used_pages < disk->limit_pages)
		*ret_bytes = (disk->limit_pages - disk->used_pages) * PD_SIM_PAGE;
	else
		*ret_bytes = 0;
	return 0;
}

/* ---- work beside the caller ---- */

static void task_run(struct sim_task *task)
{
	void (*run)(void *argument) = task->run;

	task->run = NULL;
	if (run != NULL)
		run(task->argument);
}

/* Is it this task's turn? */
static bool task_turn(struct pd_os *os)
{
	struct pd_sim *sim = pd_sim_of(os);

	return !sim->options.late_tasks || pd_sim_random_below(&sim->random, 3) == 0;
}

static int sim_task_start(struct pd_os *os, void (*run)(void *argument), void *argument,
			  struct pd_os_task **ret_task, struct pd_error *err)
{
	struct sim_task *task = pd_malloc(sizeof *task);

	if (task == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot start a task: out of memory");
	*task = (struct sim_task){ .base = { .os = os }, .run = run, .argument = argument };
	if (task_turn(os))
		task_run(task);
	*ret_task = &task->base;
	return 0;
}

static bool sim_task_finished(struct pd_os_task *base)
{
	struct sim_task *task = (struct sim_task *)base;

	if (task->run != NULL && task_turn(base->os))
		task_run(task);
	return task->run == NULL;
}

static void sim_task_give_way(struct pd_os *os)
{
	(void)os;
}

static void sim_task_join(struct pd_os_task *base)
{
	task_run((struct sim_task *)base);
	pd_free(base);
}

/* ---- birth and death ---- */

static void sim_free(struct pd_os *os)
{
	struct pd_sim *sim = pd_sim_of(os);

	PD_ASSERT(sim->queues == NULL);
	pd_sim_tree_free(sim);
	pd_sim_disk_done(&sim->disk);
	pd_free(sim->shown);
	pd_free(sim);
}

static const struct pd_os_ops sim_ops = {
	.abi = PD_OS_ABI,
	.name = "simulated",
	.free = sim_free,
	.open = pd_sim_open,
	.close = pd_sim_close,
	.read = pd_sim_read,
	.write = pd_sim_write,
	.datasync = pd_sim_datasync,
	.allocate = pd_sim_allocate,
	.resize = pd_sim_resize,
	.alignment = pd_sim_alignment,
	.hint = pd_sim_hint,
	.is_cached = pd_sim_is_cached,
	.info = pd_sim_info,
	.rename = pd_sim_rename,
	.link = pd_sim_link,
	.unlink = pd_sim_unlink,
	.mkdir = pd_sim_mkdir,
	.rmdir = pd_sim_rmdir,
	.sync_directory = pd_sim_sync_directory,
	.list = pd_sim_list,
	.lock = pd_sim_lock,
	.unlock = pd_sim_unlock,
	.process_memory = sim_process_memory,
	.machine_memory = sim_machine_memory,
	.disk_free = sim_disk_free,
	.real_us = sim_real_us,
	.monotonic_ns = sim_monotonic_ns,
	.sleep_us = pd_sim_advance_us,
	.random = sim_random,
	.task_start = sim_task_start,
	.task_finished = sim_task_finished,
	.task_join = sim_task_join,
	.task_give_way = sim_task_give_way,
	.queue_new = pd_sim_queue_new,
	.queue_free = pd_sim_queue_free,
	.queue_write = pd_sim_queue_write,
	.queue_reap = pd_sim_queue_reap,
	.queue_descriptor = pd_sim_queue_descriptor,
};

void pd_sim_take_options(struct pd_sim *sim, const struct pd_sim_options *options)
{
	PD_ASSERT(options->direct_alignment == 0 || options->direct_alignment == 512 ||
		  options->direct_alignment == 4096);
	sim->options = *options;
	sim->disk.limit_pages = options->disk_bytes > 0 ? options->disk_bytes / PD_SIM_PAGE : UINT64_MAX;
}

void pd_sim_set_options(struct pd_os *os, const struct pd_sim_options *options)
{
	/* The seed, the unit of the drive and the start of time belong to the disk and stay. */
	pd_sim_take_options(pd_sim_of(os), options);
}

void pd_sim_set_chance(struct pd_os *os, uint64_t seed, enum pd_sim_survival survival)
{
	struct pd_sim *sim = pd_sim_of(os);

	pd_sim_random_init(&sim->random, seed);
	sim->random.all = survival == PD_SIM_SURVIVES_ALL || survival == PD_SIM_SURVIVES_LAST;
	sim->random.last_name = survival == PD_SIM_SURVIVES_LAST;
	sim->random.nothing = survival == PD_SIM_SURVIVES_NOTHING;
	sim->random.counted = survival == PD_SIM_SURVIVES_BY_NUMBER;
	sim->random.number = seed;
	sim->random.combinations = 1;
}

int pd_os_sim_new(const struct pd_sim_options *options, struct pd_os **ret_os, struct pd_error *err)
{
	struct pd_sim *sim = pd_calloc(1, sizeof *sim);

	PD_ASSERT(options->torn_unit == 0 || options->torn_unit == 512 || options->torn_unit == 4096);
	if (sim == NULL || pd_sim_tree_new(sim) != 0) {
		pd_free(sim);
		return pd_error_set(err, PD_NO_MEMORY, "cannot make a simulated machine: out of memory");
	}
	pd_os_init(&sim->base, &sim_ops);
	pd_sim_take_options(sim, options);
	pd_sim_random_init(&sim->random, options->seed);
	pd_sim_random_init(&sim->keys, ~options->seed);
	sim->disk.random = &sim->random;
	sim->disk.unit = options->torn_unit > 0 ? options->torn_unit : PD_SIM_SECTOR;
	sim->last_tear = &sim->tears;
	sim->process = 1;
	sim->real_us = options->start_real_us;
	if (sim->real_us == 0)
		sim->real_us = SIM_2026_US + pd_sim_mix(options->seed) % SIM_YEAR_US;
	sim->monotonic_ns = 1000000000; /* a machine that was switched on a moment ago */
	sim->trace = pd_sim_mix(options->seed);
	*ret_os = &sim->base;
	return 0;
}
