/* Reading ahead of checkpoints. The list has the files of the last look and no others, so that the number of live files bounds it. */
#include "store/ahead.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/checkpoint_private.h"
#include "store/pass.h"

#define PAUSE_US UINT64_C(10000) /* so long nobody is asked whether to go on */
#define OTHERS   9               /* parts of the time, for one of ours */

struct file {
	char *name;
	uint64_t bytes; /* that it must have */
	uint64_t id;    /* on the disk, when known */
	uint64_t seen_us;
	unsigned depth;
	bool live;  /* at the look that is going on */
	bool known; /* its hash is */
	bool bad;   /* it was damaged when it was read last */
	struct pd_hash128 hash;
};

struct pd_ahead {
	struct pd_os *os;
	struct pd_levels *levels;
	char *directory;
	uint64_t rest_us;
	struct file *files; /* by name */
	size_t count, capacity;
	size_t sorted; /* so many were there before the look that is going on */
	uint64_t now_us;

	_Atomic uint64_t live_files, live_bytes, verified_files, verified_bytes;
	_Atomic uint64_t read_files, read_bytes, verified_us;
};

/* One turn. */
struct turn {
	struct pd_ahead *ahead;
	pd_levels_go_on *go_on;
	void *context;
	uint64_t done;     /* bytes of the pass that were told */
	uint64_t since_ns; /* at work */
};

static int no_memory(struct pd_error *err)
{
	return pd_error_set(err, PD_NO_MEMORY, "out of memory for reading files ahead of a checkpoint");
}

static char *path_of(const struct pd_ahead *ahead, const char *name)
{
	return pd_asprintf("%s/%s", ahead->directory, name);
}

int pd_ahead_new(const struct pd_ahead_options *options, struct pd_ahead **ret_ahead, struct pd_error *err)
{
	struct pd_ahead *ahead = pd_calloc(1, sizeof *ahead);

	if (ahead == NULL)
		return no_memory(err);
	ahead->os = options->os;
	ahead->levels = options->levels;
	ahead->rest_us = options->rest_us;
	ahead->directory = pd_strdup(options->directory);
	if (ahead->directory == NULL) {
		pd_free(ahead);
		return no_memory(err);
	}
	*ret_ahead = ahead;
	return 0;
}

void pd_ahead_free(struct pd_ahead *ahead)
{
	if (ahead == NULL)
		return;
	for (size_t i = 0; i < ahead->count; i++)
		pd_free(ahead->files[i].name);
	pd_free(ahead->files);
	pd_free(ahead->directory);
	pd_free(ahead);
}

/* ---- the list ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* Among the first `count`. */
static struct file *find(const struct pd_ahead *ahead, const char *name, size_t count)
{
	const struct file key = { .name = (char *)(uintptr_t)name };

	return count == 0 ? NULL : bsearch(&key, ahead->files, count, sizeof key, by_name);
}

static int add(struct pd_ahead *ahead, const struct pd_levels_file *found, struct pd_error *err)
{
	char *name;

	if (ahead->count == ahead->capacity) {
		size_t capacity = ahead->capacity == 0 ? 16 : 2 * ahead->capacity;
		struct file *files = pd_realloc(ahead->files, capacity * sizeof *files);

		if (files == NULL)
			return no_memory(err);
		ahead->files = files;
		ahead->capacity = capacity;
	}
	name = pd_strdup(found->name);
	if (name == NULL)
		return no_memory(err);
	ahead->files[ahead->count++] = (struct file){ .name = name,
						      .bytes = found->bytes,
						      .seen_us = ahead->now_us,
						      .depth = found->depth,
						      .live = true };
	return 0;
}

static int visit(void *context, const struct pd_levels_file *found, struct pd_error *err)
{
	struct pd_ahead *ahead = context;
	struct file *file = find(ahead, found->name, ahead->sorted);

	if (file == NULL)
		return add(ahead, found, err);
	file->live = true;
	file->depth = found->depth;
	return 0;
}

static void forget_dead(struct pd_ahead *ahead)
{
	size_t kept = 0;

	for (size_t i = 0; i < ahead->count; i++) {
		if (ahead->files[i].live)
			ahead->files[kept++] = ahead->files[i];
		else
			pd_free(ahead->files[i].name);
	}
	ahead->count = kept;
	if (kept > 1)
		qsort(ahead->files, kept, sizeof ahead->files[0], by_name);
}

/* What a checkpoint has read, or has from one before it, need not be read once more. */
static int ask_checkpoint(struct pd_ahead *ahead, struct file *file, const struct pd_checkpoint *previous,
			  struct pd_error *err)
{
	char *path = path_of(ahead, file->name);
	struct pd_os_file_info info;
	int result = path == NULL ? no_memory(err) : pd_os_info(ahead->os, path, &info, err);

	pd_free(path);
	if (result == PD_NOT_FOUND)
		return 0; /* gone by now, or else missing: whoever reads it finds out */
	if (result == 0)
		result = pd_checkpoint_knows(ahead->os, previous, file->name, &info, &file->hash, err);
	if (result <= 0)
		return result;
	file->id = info.id;
	file->known = info.size == file->bytes;
	return 0;
}

static void count_up(struct pd_ahead *ahead)
{
	uint64_t bytes = 0, verified_files = 0, verified_bytes = 0;

	for (size_t i = 0; i < ahead->count; i++) {
		const struct file *file = &ahead->files[i];

		bytes += file->bytes;
		verified_files += file->known;
		verified_bytes += file->known ? file->bytes : 0;
	}
	atomic_store(&ahead->live_files, ahead->count);
	atomic_store(&ahead->live_bytes, bytes);
	atomic_store(&ahead->verified_files, verified_files);
	atomic_store(&ahead->verified_bytes, verified_bytes);
}

static int look(struct pd_ahead *ahead, const struct pd_checkpoint *previous, struct pd_error *err)
{
	int result;

	ahead->now_us = pd_os_monotonic_ns(ahead->os) / 1000;
	ahead->sorted = ahead->count;
	for (size_t i = 0; i < ahead->count; i++)
		ahead->files[i].live = false;
	result = pd_levels_files(ahead->levels, visit, ahead, err);
	/* Half a list says nothing of who is gone. */
	for (size_t i = 0; i < ahead->count && result != 0; i++)
		ahead->files[i].live = true;
	forget_dead(ahead);
	for (size_t i = 0; i < ahead->count && result == 0; i++)
		if (!ahead->files[i].known)
			result = ask_checkpoint(ahead, &ahead->files[i], previous, err);
	count_up(ahead);
	return result;
}

/* ---- reading ---- */

/* Others have their turn, so that who is served does not feel it. */
static bool give_way(struct turn *turn)
{
	struct pd_os *os = turn->ahead->os;
	uint64_t left_us = (pd_os_monotonic_ns(os) - turn->since_ns) / 1000 * OTHERS;
	bool go_on = turn->go_on(turn->context);

	while (go_on && left_us > 0) {
		uint64_t part = left_us < PAUSE_US ? left_us : PAUSE_US;

		pd_os_sleep_us(os, part);
		left_us -= part;
		go_on = turn->go_on(turn->context);
	}
	turn->since_ns = pd_os_monotonic_ns(os);
	return go_on;
}

static int wait_for(struct turn *turn, uint64_t bytes, struct pd_error *err)
{
	struct pd_ahead *ahead = turn->ahead;
	int result = pd_levels_pace(ahead->levels, bytes, turn->go_on, turn->context, err);

	turn->since_ns = pd_os_monotonic_ns(ahead->os);
	return result;
}

static bool note_chunk(void *context, uint64_t done, uint64_t total)
{
	struct turn *turn = context;
	uint64_t bytes = done - turn->done;

	(void)total;
	turn->done = done;
	return give_way(turn) && wait_for(turn, bytes, NULL) == 0;
}

static int check_size(const struct pd_ahead *ahead, const char *path, struct file *file, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(ahead->os, path, &info, err);

	if (result != 0)
		return result;
	file->id = info.id;
	if (info.size == file->bytes)
		return 0;
	return pd_error_set(err, PD_CORRUPT, "%s has %" PRIu64 " bytes, not %" PRIu64, path, info.size,
			    file->bytes);
}

static int read_file(struct turn *turn, struct pd_pass *pass, const char *path, struct file *file,
		     struct pd_error *err)
{
	struct pd_ahead *ahead = turn->ahead;
	int result = check_size(ahead, path, file, err);

	turn->since_ns = pd_os_monotonic_ns(ahead->os);
	if (result == 0)
		result = pd_pass_read_back(pass, path, file->bytes, &file->hash, err);
	if (result == 0)
		result = wait_for(turn, file->bytes, err);
	if (result == 0)
		result = pd_levels_check_file(ahead->levels, ahead->directory, file->name, err);
	if (result == 0) {
		file->known = true;
		atomic_fetch_add(&ahead->verified_files, 1);
		atomic_fetch_add(&ahead->verified_bytes, file->bytes);
		atomic_fetch_add(&ahead->read_files, 1);
		atomic_fetch_add(&ahead->read_bytes, file->bytes);
		atomic_store(&ahead->verified_us, pd_os_real_us(ahead->os));
	}
	return result;
}

struct search {
	const char *name;
	bool found;
};

static int compare(void *context, const struct pd_levels_file *file, struct pd_error *err)
{
	struct search *search = context;

	(void)err;
	search->found = search->found || strcmp(file->name, search->name) == 0;
	return 0;
}

/* It could not be read. That is as it should be when compaction has dropped it meanwhile. */
static int judge(struct pd_ahead *ahead, struct file *file, const char *path, int code, struct pd_error *err)
{
	struct search search = { .name = file->name };
	int result = pd_levels_files(ahead->levels, compare, &search, code == PD_NOT_FOUND ? err : NULL);

	if (result == 0 && !search.found) {
		file->live = false;
		return 0;
	}
	if (code != PD_NOT_FOUND)
		return code;
	return result != 0 ? result : pd_error_set(err, PD_CORRUPT, "%s is missing", path);
}

/* What is known to be damaged comes last: it keeps nobody from the rest. */
static bool comes_before(const struct file *file, const struct file *other)
{
	if (file->bad != other->bad)
		return !file->bad;
	if (file->depth != other->depth)
		return file->depth > other->depth;
	return file->seen_us < other->seen_us;
}

/* NULL: none is at rest. */
static struct file *next_at_rest(const struct pd_ahead *ahead)
{
	struct file *next = NULL;

	for (size_t i = 0; i < ahead->count; i++) {
		struct file *file = &ahead->files[i];

		if (file->known || !file->live || ahead->now_us - file->seen_us < ahead->rest_us)
			continue;
		if (next == NULL || comes_before(file, next))
			next = file;
	}
	return next;
}

static int read_all(struct turn *turn, struct pd_pass *pass, struct pd_error *err)
{
	struct pd_ahead *ahead = turn->ahead;
	struct file *file;
	int result = 0;

	while (result == 0 && (file = next_at_rest(ahead)) != NULL) {
		char *path = path_of(ahead, file->name);

		result = path == NULL ? no_memory(err) : read_file(turn, pass, path, file, err);
		if (result != 0 && result != PD_CANCELLED && result != PD_NO_MEMORY)
			result = judge(ahead, file, path, result, err);
		file->bad = result == PD_CORRUPT;
		pd_free(path);
		if (result == 0 && !give_way(turn))
			result = pd_error_set(err, PD_CANCELLED, "%s: stopped", ahead->directory);
	}
	return result;
}

int pd_ahead_turn(struct pd_ahead *ahead, const struct pd_checkpoint *previous, pd_levels_go_on *go_on,
		  void *context, struct pd_error *err)
{
	struct turn turn = { .ahead = ahead, .go_on = go_on, .context = context };
	struct pd_pass pass;
	int result = look(ahead, previous, err);

	if (result != 0 || next_at_rest(ahead) == NULL)
		return result;
	result = pd_pass_init(&pass, ahead->os, note_chunk, &turn, err);
	if (result == 0)
		result = read_all(&turn, &pass, err);
	pd_pass_done(&pass);
	return result;
}

/* ---- what is known ---- */

bool pd_ahead_knows(const struct pd_ahead *ahead, const char *name, const struct pd_os_file_info *info,
		    struct pd_hash128 *ret_hash)
{
	const struct file *file = find(ahead, name, ahead->count);

	if (file == NULL || !file->known || info->size != file->bytes || info->id != file->id)
		return false;
	*ret_hash = file->hash;
	return true;
}

void pd_ahead_figures(const struct pd_ahead *ahead, struct pd_ahead_figures *ret_figures)
{
	*ret_figures = (struct pd_ahead_figures){ .files = atomic_load(&ahead->live_files),
						  .bytes = atomic_load(&ahead->live_bytes),
						  .verified_files = atomic_load(&ahead->verified_files),
						  .verified_bytes = atomic_load(&ahead->verified_bytes),
						  .read_files = atomic_load(&ahead->read_files),
						  .read_bytes = atomic_load(&ahead->read_bytes),
						  .verified_us = atomic_load(&ahead->verified_us) };
}
