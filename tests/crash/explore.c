#include "explore.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "sim/chance.h"

/* So many rounds over all crash points that find next to nothing new are the end: below a new image in so many tries. */
#define DRY_ROUNDS 8u
#define DRY_TRIES  200u
#define CHUNK      16u /* images that a process takes at once */

/* ---- distinct images ---- */

static void grow_slots(struct images *images)
{
	size_t slot_count = images->slot_count == 0 ? 1024 : 2 * images->slot_count;

	free(images->slots);
	images->slots = must_zeroed(slot_count, sizeof *images->slots);
	images->slot_count = slot_count;
	for (size_t i = 0; i < images->count; i++) {
		size_t slot = images->hashes[i].low & (slot_count - 1);

		while (images->slots[slot] != 0)
			slot = (slot + 1) & (slot_count - 1);
		images->slots[slot] = (uint32_t)i + 1;
	}
}

/* One that was there before keeps its place, and the sharper bounds of the two. */
static void add_image(struct images *images, const struct image *image, struct pd_hash128 hash)
{
	size_t slot;

	if (2 * (images->count + 1) > images->slot_count)
		grow_slots(images);
	for (slot = hash.low & (images->slot_count - 1); images->slots[slot] != 0;
	     slot = (slot + 1) & (images->slot_count - 1)) {
		size_t index = images->slots[slot] - 1;
		struct image *there = &images->items[index];

		if (images->hashes[index].low != hash.low || images->hashes[index].high != hash.high)
			continue;
		if (image->known > there->known)
			there->known = image->known;
		if (image->begun < there->begun)
			there->begun = image->begun;
		return;
	}
	MUST_GROW(images->items, images->count, images->room);
	if (images->room > images->hash_room) {
		images->hashes = must_resize(images->hashes, images->room * sizeof *images->hashes);
		images->hash_room = images->room;
	}
	images->hashes[images->count] = hash;
	images->items[images->count++] = *image;
	images->slots[slot] = (uint32_t)images->count;
}

void images_done(struct images *images)
{
	free(images->items);
	free(images->slots);
	free(images->hashes);
	*images = (struct images){ .count = 0 };
}

/* Every crash point takes the planned ways in another order, so that a few images are of all kinds. */
static size_t way_of_round(const struct disk *disk, size_t round, uint64_t seed)
{
	struct chance chance = { seed ^ disk->steps };
	size_t ways = disk->unit_count == 0 ? 1 : 2 + 4 * disk->unit_count;

	return round < ways ? (round + chance_next(&chance) % ways) % ways : round;
}

/* How many images were tried. */
static size_t find_round(const struct explore_options *options, enum disk_model model, size_t round,
			 struct pd_hasher *hasher, struct images *images)
{
	size_t points = options->trace->step_count + 1, tries = 0;
	struct chance chance = { options->seed ^ round * 31 ^ model };
	struct disk disk;

	disk_init(&disk, options->trace, model, options->lie, options->base, options->workload->ignored);
	for (size_t crash = 0; crash < points && images->count < options->count; crash++) {
		struct image image;

		disk_go(&disk, crash);
		/* Towards the end of the count, crash points from everywhere. */
		if (chance_below(&chance, points) >= 2 * (options->count - images->count))
			continue;
		if (disk.unit_count == 0 && round > 0)
			continue;
		image = image_nth(&disk, way_of_round(&disk, round, options->seed), options->seed);
		add_image(images, &image, image_hash(&disk, &image, options->workload->blurred, hasher));
		tries++;
	}
	disk_done(&disk);
	return tries;
}

static int compare_crash(const void *a, const void *b)
{
	const struct image *first = a, *second = b;

	return (first->crash > second->crash) - (first->crash < second->crash);
}

void explore_find(const struct explore_options *options, struct images *images)
{
	struct pd_hasher *hasher = pd_hasher_new();
	unsigned dry = 0;

	if (hasher == NULL)
		die("out of memory");
	for (size_t round = 0; images->count < options->count && dry < DRY_ROUNDS; round++) {
		size_t before = images->count, tries = 0;

		for (unsigned model = 0; model < DISK_MODELS; model++)
			if ((options->models & 1u << model) != 0)
				tries += find_round(options, (enum disk_model)model, round, hasher, images);
		dry = (images->count - before) * DRY_TRIES <= tries ? dry + 1 : 0;
	}
	pd_hasher_free(hasher);
	/* The hashes are of no use from here on. */
	if (images->count > 0)
		qsort(images->items, images->count, sizeof *images->items, compare_crash);
}

/* ---- directories ---- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

void explore_remove_tree(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		die("cannot remove '%s': %s", path, strerror(errno));
}

static void make_directory(const char *path)
{
	if (mkdir(path, 0700) != 0)
		die("cannot make '%s': %s", path, strerror(errno));
}

/* ---- checking ---- */

/* What the processes share. */
struct shared {
	atomic_size_t next;
	atomic_size_t opened;
	atomic_size_t violations;
	struct violation first[EXPLORE_VIOLATIONS_MAX];
};

struct worker {
	pid_t process;
	atomic_size_t at, end; /* of the images that it has taken */
};

struct checking {
	const struct explore_options *options;
	const struct images *images;
	struct shared *shared;
	struct worker *workers;
};

static void note_violation(struct shared *shared, const struct image *image, const char *text)
{
	size_t place = atomic_fetch_add(&shared->violations, 1);

	if (place >= EXPLORE_VIOLATIONS_MAX)
		return;
	shared->first[place].image = *image;
	snprintf(shared->first[place].text, sizeof shared->first[place].text, "%s", text);
}

static bool check_image(const struct explore_options *options, struct disk *disk, const struct image *image,
			const char *directory, char *text, size_t text_size)
{
	struct chance chance = { options->seed ^ image->which ^ image->crash };
	struct workload_case given = { .options = &options->given,
				       .directory = directory,
				       .trace = options->trace,
				       .model = image->model,
				       .known = image->known,
				       .begun = image->begun,
				       .chance = chance_next(&chance) };

	disk_go(disk, image->crash);
	make_directory(directory);
	image_write(disk, image, directory);
	return options->workload->check(&given, text, text_size);
}

static void init_disks(const struct explore_options *options, struct disk *disks)
{
	for (unsigned i = 0; i < DISK_MODELS; i++)
		disk_init(&disks[i], options->trace, (enum disk_model)i, options->lie, options->base,
			  options->workload->ignored);
}

static void done_disks(struct disk *disks)
{
	for (unsigned i = 0; i < DISK_MODELS; i++)
		disk_done(&disks[i]);
}

static void __attribute__((noreturn)) work(struct checking *checking, unsigned number)
{
	const struct explore_options *options = checking->options;
	struct worker *worker = &checking->workers[number];
	char *directory = must_print("%s/%u", options->scratch, number);
	struct disk disks[DISK_MODELS];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	init_disks(options, disks);
	for (;;) {
		size_t at = atomic_load(&worker->at);
		const struct image *image;
		char text[400] = "";

		if (at == atomic_load(&worker->end)) {
			at = atomic_fetch_add(&checking->shared->next, CHUNK);
			if (at >= checking->images->count)
				break;
			atomic_store(&worker->at, at);
			atomic_store(&worker->end, at + CHUNK < checking->images->count
							   ? at + CHUNK
							   : checking->images->count);
		}
		image = &checking->images->items[at];
		alarm(options->timeout_s);
		if (!check_image(options, &disks[image->model], image, directory, text, sizeof text))
			note_violation(checking->shared, image, text);
		alarm(0);
		explore_remove_tree(directory);
		atomic_fetch_add(&checking->shared->opened, 1);
		atomic_store(&worker->at, at + 1);
	}
	done_disks(disks);
	free(directory);
	exit(0); /* which counts the lines that were run, where they are counted */
}

static void start_worker(struct checking *checking, unsigned number)
{
	pid_t process;

	fflush(stdout);
	process = fork();
	if (process < 0)
		die("cannot fork: %s", strerror(errno));
	if (process == 0)
		work(checking, number);
	/* Here only: the child sees the same memory. */
	checking->workers[number].process = process;
}

/* A process that ended within an image: that is a violation, and another goes on behind it. */
static void worker_died(struct checking *checking, unsigned number, int status)
{
	struct worker *worker = &checking->workers[number];
	size_t at = atomic_load(&worker->at);
	char *directory = must_print("%s/%u", checking->options->scratch, number), text[100];

	if (!WIFSIGNALED(status))
		die("a checking process ended with status %d", WEXITSTATUS(status));
	if (WTERMSIG(status) == SIGALRM)
		snprintf(text, sizeof text, "took longer than %u s", checking->options->timeout_s);
	else
		snprintf(text, sizeof text, "the process was killed by signal %d", WTERMSIG(status));
	note_violation(checking->shared, &checking->images->items[at], text);
	atomic_fetch_add(&checking->shared->opened, 1);
	explore_remove_tree(directory);
	free(directory);
	atomic_store(&worker->at, at + 1);
	start_worker(checking, number);
}

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("no shared memory");
	return memory;
}

static void wait_for_workers(struct checking *checking)
{
	unsigned jobs = checking->options->jobs;

	for (unsigned running = jobs; running > 0;) {
		int status = 0;
		pid_t process = wait(&status);

		if (process < 0)
			die("cannot wait: %s", strerror(errno));
		for (unsigned i = 0; i < jobs; i++) {
			if (checking->workers[i].process != process)
				continue;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				running--;
			else
				worker_died(checking, i, status);
		}
	}
}

void explore_check(const struct explore_options *options, const struct images *images,
		   struct findings *findings)
{
	struct checking checking = { .options = options, .images = images };
	size_t workers_size = options->jobs * sizeof *checking.workers;

	checking.shared = share(sizeof *checking.shared);
	checking.workers = share(workers_size);
	for (unsigned i = 0; i < options->jobs; i++)
		start_worker(&checking, i);
	wait_for_workers(&checking);
	findings->opened = atomic_load(&checking.shared->opened);
	findings->violations = atomic_load(&checking.shared->violations);
	memcpy(findings->first, checking.shared->first, sizeof findings->first);
	munmap(checking.shared, sizeof *checking.shared);
	munmap(checking.workers, workers_size);
}

void explore_write(const struct explore_options *options, const struct image *image, const char *directory)
{
	struct disk disk;

	disk_init(&disk, options->trace, image->model, options->lie, options->base,
		  options->workload->ignored);
	disk_go(&disk, image->crash);
	make_directory(directory);
	image_write(&disk, image, directory);
	disk_done(&disk);
}

bool explore_one(const struct explore_options *options, const struct image *image, const char *keep)
{
	char *directory = must_print("%s/one", options->scratch), text[400] = "";
	struct disk disks[DISK_MODELS], *disk = &disks[image->model];
	bool sound;

	init_disks(options, disks);
	disk_go(disk, image->crash);
	image_explain(disk, image);
	for (size_t i = 0; i < image->known; i++)
		if (i + 3 >= image->known || i + 3 >= image->begun)
			printf("mark '%s'%s\n", options->trace->marks[i].text,
			       i >= image->begun ? " (or not yet)" : "");
	if (keep != NULL)
		explore_write(options, image, keep);
	sound = check_image(options, disk, image, directory, text, sizeof text);
	explore_remove_tree(directory);
	done_disks(disks);
	free(directory);
	puts(sound ? "It keeps every promise." : text);
	return sound;
}

bool explore_compare(const struct explore_options *options, const char *directory)
{
	struct image image = { .model = DISK_ORDERED, .way = IMAGE_ALL, .crash = options->trace->step_count };
	struct disk disk;
	bool same;

	disk_init(&disk, options->trace, image.model, (struct disk_lie){ .kinds = 0 }, options->base,
		  options->workload->ignored);
	disk_go(&disk, image.crash);
	same = image_compare(&disk, &image, directory, options->workload->ignored);
	disk_done(&disk);
	return same;
}
