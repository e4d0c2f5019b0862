/* A fuzz target without a fuzzer: its seeds, and what becomes of each when a few bytes of it are changed, the same in every run. Any
 * compiler, with sanitizers or without.
 *
 *     TARGET_replay [--changes N] FILE|DIRECTORY...
 *
 * The last line is `N passed, N failed`: seeds. Whatever goes wrong ends the program. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "input.h"

#define SEED_BYTES_MAX ((size_t)1 << 20)

struct seeds {
	unsigned changes, count;
	uint64_t inputs;
};

/* SplitMix64, https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void run(struct seeds *seeds, const uint8_t *data, size_t size)
{
	uint8_t *copy = copy_bytes(pd_slice(data, size));

	PD_ASSERT(LLVMFuzzerTestOneInput(copy, size) == 0);
	free(copy);
	seeds->inputs++;
}

static size_t cut(uint8_t *data, size_t size, size_t at, size_t count)
{
	memmove(data + at, data + at + count, size - at - count);
	return size - count;
}

/* A few bytes are others, or gone, or twice there. Returns the new size. */
static size_t change(uint8_t *data, size_t size, uint64_t *state)
{
	static const uint8_t odd[] = { 0, 1, 2, 0x7f, 0x80, 0xff, '\n', '"', '\\', '*', '-', '0' };
	unsigned count = 1 + (unsigned)(next_random(state) % 4);

	while (count-- > 0 && size > 0) {
		uint64_t random = next_random(state);
		size_t at = (size_t)(random >> 32) % size;

		switch (random % 5) {
		case 0:
			data[at] ^= (uint8_t)(1u << (random >> 8 & 7));
			break;
		case 1:
			data[at] = odd[(random >> 8) % sizeof odd];
			break;
		case 2:
			data[at] = (uint8_t)(random >> 8);
			break;
		case 3:
			size = cut(data, size, at, 1 + (size_t)(random >> 8 & 0xffff) % (size - at));
			break;
		default:
			memmove(data + at, data, size - at);
		}
	}
	return size;
}

static void replay_file(struct seeds *seeds, const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *seed = malloc(SEED_BYTES_MAX), *changed = malloc(SEED_BYTES_MAX);
	uint64_t state = 1;
	size_t size;

	if (file == NULL) {
		(void)fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
		exit(2);
	}
	PD_ASSERT(seed != NULL && changed != NULL);
	size = fread(seed, 1, SEED_BYTES_MAX, file);
	(void)fclose(file);
	run(seeds, seed, size);
	for (unsigned i = 0; i < seeds->changes; i++) {
		memcpy(changed, seed, size);
		run(seeds, changed, change(changed, size, &state));
	}
	seeds->count++;
	free(seed);
	free(changed);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay(struct seeds *seeds, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, is_visible, alphasort);

	if (count < 0) {
		replay_file(seeds, path);
		return;
	}
	for (int i = 0; i < count; i++) {
		char name[4096];

		(void)snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		replay_file(seeds, name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	struct seeds seeds = { 0 };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--changes") == 0 && i + 1 < argc)
			seeds.changes = (unsigned)strtoul(argv[++i], NULL, 10);
		else
			replay(&seeds, argv[i]);
	}
	(void)printf("%llu inputs\n%u passed, 0 failed\n", (unsigned long long)seeds.inputs, seeds.count);
	return seeds.count > 0 ? 0 : 1;
}
