/* Damage of all kinds to a few segments of a large log: bits, blocks that changed places, sectors that are gone or older,
 * garbage, files that were cut off, and writes of which a block has old and new sectors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/group.h"
#include "rot.h"

#define BLOCK_SECTORS 8u

static _Noreturn void give_up(const char *why)
{
	(void)fprintf(stderr, "rot: %s\n", why);
	exit(2);
}

static const struct true_group *group_of(const struct truth *truth, uint32_t segment, size_t n)
{
	for (size_t i = 0; i < truth->group_count; i++)
		if (truth->groups[i].segment == segment && n-- == 0)
			return &truth->groups[i];
	return NULL;
}

static size_t groups_in(const struct truth *truth, uint32_t segment)
{
	size_t count = 0;

	for (size_t i = 0; i < truth->group_count; i++)
		count += truth->groups[i].segment == segment;
	return count;
}

/* The segment ends before its nth group, as if that had never been written. */
static void cut_behind(struct window *window, const struct truth *truth, size_t n)
{
	const struct true_group *group = group_of(truth, window->segment, n);
	uint64_t from = group->sector * PD_SECTOR_SIZE;

	memset(window->pristine + from, 0, window->size - from);
	if (pd_sim_damage(window->os, segment_path(window->segment), from, window->pristine + from,
			  window->size - from) != 0)
		give_up("a window cannot be cut");
	window->used = from;
	window->look.end_sector = group->sector;
	/* A record whose frames go on from here on is not whole. */
	window->look.last_lsn = group->first_lsn - 1;
}

void window_open(struct window *window, const struct image *image, const struct truth *truth,
		 struct chance *chance)
{
	uint32_t count = truth->last_segment - truth->first_segment + 1;
	bool tail = chance_one_in(chance, 2);
	const struct image_file *file;
	uint32_t first, last;

	*window = (struct window){ .segment = truth->first_segment + (uint32_t)chance_below(chance, count) };
	first = window->segment > truth->first_segment ? window->segment - 1 : window->segment;
	last = tail || window->segment == truth->last_segment ? window->segment : window->segment + 1;
	window->part = *image;
	window->part.files = calloc(3, sizeof *window->part.files);
	window->part.count = 0;
	for (uint32_t number = first; number <= last && window->part.files != NULL; number++)
		window->part.files[window->part.count++] = *image_find(image, segment_path(number));
	file = image_find(image, segment_path(window->segment));
	window->pristine = malloc(file->size);
	if (window->part.files == NULL || window->pristine == NULL)
		give_up("out of memory");
	window->os = image_machine(&window->part, true);
	memcpy(window->pristine, file->data, file->size);
	window->size = file->size;
	window->used = file->size;
	window->look = (struct look){ .os = window->os,
				      .image = &window->part,
				      .truth = truth,
				      .from_lsn = truth_first_lsn(truth, first),
				      .last_lsn = truth->count,
				      .first_segment = first,
				      .last_segment = last,
				      .end_sector = UINT64_MAX };
	if (last < truth->last_segment)
		window->look.last_lsn = truth_last_before(truth, last + 1);
	if (tail && groups_in(truth, window->segment) > 2)
		cut_behind(window, truth,
			   2 + (size_t)chance_below(chance, groups_in(truth, window->segment) - 2));
}

void window_close(struct window *window)
{
	pd_os_free(window->os);
	free(window->part.files);
	free(window->pristine);
}

/* ---- damage ---- */

struct damage {
	struct window *window;
	struct chance *chance;
	struct hit hits[HITS_MAX];
	size_t count;
	bool resized;
	uint64_t hash;
	char *text;
};

static void put(struct damage *damage, uint64_t from, const void *data, size_t size)
{
	struct window *window = damage->window;

	if (pd_sim_damage(window->os, segment_path(window->segment), from, data, size) != 0)
		give_up("a segment cannot be damaged");
	damage->hits[damage->count++] = (struct hit){ window->segment, from, from + size };
	damage->hash = pd_hash64(pd_slice(data, size), damage->hash + from);
}

/* Somewhere in what is in use, with a little of what is not. */
static uint64_t some_byte(struct damage *damage)
{
	uint64_t used = damage->window->used, size = damage->window->size;

	if (used < size && chance_one_in(damage->chance, 20))
		return used + chance_below(damage->chance, size - used);
	return chance_below(damage->chance, used);
}

static void flip_bits(struct damage *damage, unsigned count)
{
	(void)snprintf(damage->text, 160, "%u bits flipped", count);
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = some_byte(damage);
		uint8_t byte = damage->window->pristine[at];

		byte ^= (uint8_t)(1u << chance_below(damage->chance, 8));
		for (size_t n = 0; n < damage->count; n++)
			if (damage->hits[n].from == at)
				return;
		put(damage, at, &byte, 1);
	}
}

static void swap_blocks(struct damage *damage)
{
	uint64_t block = (uint64_t)BLOCK_SECTORS * PD_SECTOR_SIZE, blocks = damage->window->size / block;
	uint64_t a = some_byte(damage) / block, b = blocks == 0 ? 0 : chance_below(damage->chance, blocks);

	if (a == b || a >= blocks)
		return;
	(void)snprintf(damage->text, 160, "blocks %" PRIu64 " and %" PRIu64 " swapped", a, b);
	put(damage, a * block, damage->window->pristine + b * block, block);
	put(damage, b * block, damage->window->pristine + a * block, block);
	/* Zeros from behind the end may have come into the place of a group. */
	damage->window->look.may_cut = true;
}

enum filling { FILL_ZEROS, FILL_OLDER, FILL_GARBAGE };

/* Sectors that are not what was written there last. */
static void fill_sectors(struct damage *damage, uint64_t sector, uint64_t count, enum filling filling)
{
	const struct image *part = &damage->window->part;
	uint8_t bytes[64 * PD_SECTOR_SIZE] = { 0 };
	uint64_t from = sector * PD_SECTOR_SIZE;

	if (count > 64)
		count = 64;
	if (from + count * PD_SECTOR_SIZE > damage->window->size)
		count = damage->window->size / PD_SECTOR_SIZE - sector;
	if (count == 0)
		return;
	if (filling == FILL_OLDER && part->count > 1 &&
	    part->files[0].size >= from + count * PD_SECTOR_SIZE &&
	    damage->window->look.first_segment < damage->window->segment)
		memcpy(bytes, part->files[0].data + from, count * PD_SECTOR_SIZE);
	for (uint64_t i = 0; filling == FILL_GARBAGE && i < count * PD_SECTOR_SIZE; i += 8) {
		uint64_t number = chance_next(damage->chance);

		memcpy(bytes + i, &number, sizeof number);
	}
	put(damage, from, bytes, count * PD_SECTOR_SIZE);
	damage->window->look.may_cut = filling != FILL_GARBAGE;
}

static void gone_sectors(struct damage *damage, enum filling filling)
{
	static const char *const names[] = { "zeroed", "older", "garbage" };
	uint64_t sector = some_byte(damage) / PD_SECTOR_SIZE, count = chance_spread(damage->chance, 64);

	(void)snprintf(damage->text, 160, "%" PRIu64 " sectors from %" PRIu64 " on %s", count, sector,
		       names[filling]);
	fill_sectors(damage, sector, count, filling);
}

/* A write that was cut: within one block some sectors are new, and others are what was there before. Most often the last one. */
static void tear(struct damage *damage)
{
	uint64_t sectors = damage->window->used / PD_SECTOR_SIZE, block;
	unsigned pattern = 1 + (unsigned)chance_below(damage->chance, 254);

	if (sectors < 2 * BLOCK_SECTORS)
		return;
	block = chance_percent(damage->chance, 70)
			? (sectors - 1) / BLOCK_SECTORS - chance_below(damage->chance, 2)
			: chance_below(damage->chance, sectors / BLOCK_SECTORS);
	(void)snprintf(damage->text, 160, "block %" PRIu64 " torn, older sectors 0x%02x", block, pattern);
	/* Runs of sectors, as many as there may be hits. */
	for (unsigned i = 0; i < BLOCK_SECTORS && damage->count < HITS_MAX; i++) {
		unsigned run = 0;

		while (i + run < BLOCK_SECTORS && (pattern >> (i + run) & 1) != 0)
			run++;
		if (run > 0 && block * BLOCK_SECTORS + i < sectors)
			fill_sectors(damage, block * BLOCK_SECTORS + i, run,
				     chance_one_in(damage->chance, 2) ? FILL_ZEROS : FILL_OLDER);
		i += run;
	}
}

static void cut_off(struct damage *damage)
{
	struct window *window = damage->window;
	uint64_t size = some_byte(damage);
	struct pd_os_file *file;

	if (chance_one_in(damage->chance, 2))
		size -= size % PD_SECTOR_SIZE;
	(void)snprintf(damage->text, 160, "cut off after %" PRIu64 " of %" PRIu64 " bytes", size,
		       window->size);
	if (pd_os_open(window->os, segment_path(window->segment), PD_OS_WRITE, &file, NULL) != 0 ||
	    pd_os_resize(file, size, NULL) != 0)
		give_up("a segment cannot be cut off");
	pd_os_close(file);
	damage->hits[damage->count++] = (struct hit){ window->segment, size, window->size };
	damage->hash = size + 1;
	damage->resized = true;
	window->look.may_cut = true;
}

static void choose(struct damage *damage)
{
	uint64_t kind = chance_below(damage->chance, 100);

	if (kind < 35)
		flip_bits(damage, 1);
	else if (kind < 50)
		flip_bits(damage, 2 + (unsigned)chance_below(damage->chance, HITS_MAX - 1));
	else if (kind < 60)
		swap_blocks(damage);
	else if (kind < 68)
		gone_sectors(damage, FILL_ZEROS);
	else if (kind < 76)
		gone_sectors(damage, FILL_OLDER);
	else if (kind < 82)
		gone_sectors(damage, FILL_GARBAGE);
	else if (kind < 88)
		cut_off(damage);
	else
		tear(damage);
}

static void mend(struct damage *damage)
{
	struct window *window = damage->window;
	struct pd_os_file *file;

	if (damage->resized) {
		if (pd_os_open(window->os, segment_path(window->segment), PD_OS_WRITE | PD_OS_SYNCED, &file,
			       NULL) != 0 ||
		    pd_os_resize(file, window->size, NULL) != 0 ||
		    pd_os_write(file, window->pristine, window->size, 0, NULL) != 0)
			give_up("a segment cannot be put right");
		pd_os_close(file);
		return;
	}
	for (size_t i = 0; i < damage->count; i++)
		if (pd_sim_damage(window->os, segment_path(window->segment), damage->hits[i].from,
				  window->pristine + damage->hits[i].from,
				  damage->hits[i].to - damage->hits[i].from) != 0)
			give_up("a segment cannot be put right");
}

void window_try(struct window *window, struct chance *chance, struct verdict *verdict, char text[160],
		uint64_t *ret_case)
{
	struct damage damage = { .window = window, .chance = chance, .text = text };

	(void)snprintf(text, 160, "nothing");
	window->look.may_cut = false;
	choose(&damage);
	window->look.hits = damage.hits;
	window->look.hit_count = damage.count;
	judge_log(&window->look, verdict);
	mend(&damage);
	*ret_case = pd_hash64(pd_slice(&damage.hash, sizeof damage.hash),
			      window->segment + (window->look.end_sector << 20));
}
