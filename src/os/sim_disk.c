#include "os/sim_disk.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"

/* A piece of a transfer that lies in one unit. */
struct chunk {
	size_t page;    /* index of the page */
	unsigned unit;  /* within the page */
	size_t in_unit; /* first byte within the unit */
	size_t size;
};

static struct chunk chunk_at(const struct pd_sim_disk *disk, uint64_t offset, uint64_t size)
{
	size_t in_page = (size_t)(offset % PD_SIM_PAGE);
	struct chunk chunk = { .page = (size_t)(offset / PD_SIM_PAGE),
			       .unit = (unsigned)(in_page / disk->unit),
			       .in_unit = in_page % disk->unit };

	chunk.size = disk->unit - chunk.in_unit;
	if (chunk.size > size)
		chunk.size = (size_t)size;
	return chunk;
}

static uint64_t pages_of(uint64_t size)
{
	return size / PD_SIM_PAGE + (size % PD_SIM_PAGE != 0);
}

static uint8_t *unit_data(const struct pd_sim_disk *disk, struct pd_sim_page *page, unsigned unit)
{
	return page->data + unit * disk->unit;
}

/* ---- versions ---- */

struct pd_sim_version *pd_sim_version_new(struct pd_sim_disk *disk, bool zero)
{
	struct pd_sim_version **pool = zero ? &disk->free_zero_versions : &disk->free_versions;
	struct pd_sim_version *version = *pool;

	if (version != NULL)
		*pool = version->older;
	else
		version = pd_malloc(sizeof *version + (zero ? 0 : disk->unit));
	if (version != NULL)
		*version = (struct pd_sim_version){ .zero = zero };
	return version;
}

static void version_free(struct pd_sim_disk *disk, struct pd_sim_version *version)
{
	struct pd_sim_version **pool = version->zero ? &disk->free_zero_versions : &disk->free_versions;

	version->older = *pool;
	*pool = version;
}

static void versions_free(struct pd_sim_disk *disk, struct pd_sim_version **list)
{
	while (*list != NULL) {
		struct pd_sim_version *version = *list;

		*list = version->older;
		version_free(disk, version);
	}
}

/* Forget a random version that is neither the durable one nor a mark of a truncation. */
static void versions_thin(struct pd_sim_disk *disk, struct pd_sim_version **list)
{
	unsigned skip = (unsigned)pd_sim_random_below(disk->random, PD_SIM_VERSIONS_MAX - 1);
	struct pd_sim_version **link = list, **victim = NULL;

	for (unsigned i = 0; (*link)->older != NULL; i++, link = &(*link)->older)
		if (!(*link)->truncated && (victim == NULL || i <= skip))
			victim = link;
	if (victim != NULL) {
		struct pd_sim_version *version = *victim;

		*victim = version->older;
		version_free(disk, version);
	}
}

/* Keep what is seen now as an older version. */
static int version_push(struct pd_sim_disk *disk, struct pd_sim_page *page, unsigned unit, bool truncated)
{
	bool zero = (page->written & (1U << unit)) == 0;
	struct pd_sim_version *version = pd_sim_version_new(disk, zero);
	unsigned count = 0;

	if (version == NULL)
		return ENOMEM;
	version->truncated = truncated;
	if (!zero)
		memcpy(version->data, unit_data(disk, page, unit), disk->unit);
	for (struct pd_sim_version *older = page->older[unit]; older != NULL; older = older->older)
		count++;
	if (count >= PD_SIM_VERSIONS_MAX)
		versions_thin(disk, &page->older[unit]);
	version->older = page->older[unit];
	page->older[unit] = version;
	return 0;
}

/* Make a version that is written by bytes: zeros are not stored. */
static struct pd_sim_version *version_fill(struct pd_sim_disk *disk, struct pd_sim_version **link)
{
	struct pd_sim_version *old = *link, *full;

	if (!old->zero)
		return old;
	full = pd_sim_version_new(disk, false);
	if (full == NULL)
		return NULL;
	memset(full->data, 0, disk->unit);
	full->older = old->older;
	full->truncated = old->truncated;
	*link = full;
	version_free(disk, old);
	return full;
}

/* Overwrite a part of every older version. */
static int versions_patch(struct pd_sim_disk *disk, struct pd_sim_version **list, size_t from,
			  const uint8_t *data, size_t size)
{
	for (struct pd_sim_version **link = list; *link != NULL; link = &(*link)->older) {
		struct pd_sim_version *version = version_fill(disk, link);

		if (version == NULL)
			return ENOMEM;
		memcpy(version->data + from, data, size);
	}
	return 0;
}

/* ---- pages ---- */

void pd_sim_disk_done(struct pd_sim_disk *disk)
{
	struct pd_sim_version *lists[] = { disk->free_versions, disk->free_zero_versions };

	while (disk->free_pages != NULL) {
		struct pd_sim_page *page = disk->free_pages;

		disk->free_pages = page->next_free;
		pd_free(page);
	}
	for (unsigned i = 0; i < 2; i++)
		while (lists[i] != NULL) {
			struct pd_sim_version *version = lists[i];

			lists[i] = version->older;
			pd_free(version);
		}
	disk->free_versions = disk->free_zero_versions = NULL;
}

static void page_free(struct pd_sim_disk *disk, struct pd_sim_page *page)
{
	for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
		versions_free(disk, &page->older[unit]);
	if (page->charged)
		disk->used_pages--;
	page->next_free = disk->free_pages;
	disk->free_pages = page;
}

struct pd_sim_page *pd_sim_page_new(struct pd_sim_disk *disk)
{
	struct pd_sim_page *page = disk->free_pages;

	if (page == NULL)
		return pd_malloc(sizeof *page);
	disk->free_pages = page->next_free;
	return page;
}

int pd_sim_pages_reserve(struct pd_sim_content *content, size_t index)
{
	size_t capacity = content->page_capacity > 0 ? content->page_capacity : 8;
	struct pd_sim_page **grown;

	if (index < content->page_capacity)
		return 0;
	while (capacity <= index)
		capacity *= 2;
	grown = pd_realloc(content->pages, capacity * sizeof *grown);
	if (grown == NULL)
		return ENOMEM;
	memset(grown + content->page_capacity, 0, (capacity - content->page_capacity) * sizeof *grown);
	content->pages = grown;
	content->page_capacity = capacity;
	return 0;
}

/* Count a page as used, unless a reservation has done so. */
static int page_charge(struct pd_sim_disk *disk, const struct pd_sim_content *content, size_t index)
{
	struct pd_sim_page *page = content->pages[index];

	if (page->charged || index < content->reserved_pages)
		return 0;
	if (disk->used_pages >= disk->limit_pages)
		return ENOSPC;
	disk->used_pages++;
	page->charged = true;
	return 0;
}

/* The page to write to, put on the list of dirty ones if the write will leave versions. */
static int page_for_write(struct pd_sim_disk *disk, struct pd_sim_content *content, size_t index, bool dirty,
			  struct pd_sim_page **ret_page)
{
	struct pd_sim_page *page;

	if (pd_sim_pages_reserve(content, index) != 0)
		return ENOMEM;
	page = content->pages[index];
	if (page == NULL) {
		page = pd_sim_page_new(disk);
		if (page == NULL)
			return ENOMEM;
		memset(page, 0, sizeof *page);
		content->pages[index] = page;
	}
	if (page_charge(disk, content, index) != 0)
		return ENOSPC;
	if (dirty && !page->queued) {
		uint32_t *grown = pd_grow(content->dirty, content->dirty_count, &content->dirty_capacity,
					  sizeof *grown, 16);

		if (grown == NULL)
			return ENOMEM;
		content->dirty = grown;
		content->dirty[content->dirty_count++] = (uint32_t)index;
		page->queued = true;
	}
	*ret_page = page;
	return 0;
}

static struct pd_sim_page *page_at(const struct pd_sim_content *content, uint64_t index)
{
	return index < content->page_capacity ? content->pages[index] : NULL;
}

static bool page_dirty(const struct pd_sim_page *page)
{
	for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
		if (page->older[unit] != NULL)
			return true;
	return false;
}

/* Take pages without versions off the dirty list, and free those that are all zeros. */
static void dirty_sweep(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	size_t kept = 0;

	for (size_t i = 0; i < content->dirty_count; i++) {
		uint32_t index = content->dirty[i];
		struct pd_sim_page *page = content->pages[index];

		if (page_dirty(page)) {
			content->dirty[kept++] = index;
			continue;
		}
		page->queued = false;
		if (page->written == 0) {
			content->pages[index] = NULL;
			page_free(disk, page);
		}
	}
	content->dirty_count = kept;
}

void pd_sim_content_done(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	pd_sim_content_uncharge(disk, content);
	for (size_t i = 0; i < content->page_capacity; i++)
		if (content->pages[i] != NULL)
			page_free(disk, content->pages[i]);
	pd_free(content->pages);
	pd_free(content->dirty);
	*content = (struct pd_sim_content){ 0 };
}

/* ---- sizes ---- */

/* The size changes, and until it is synced the old one may come back. */
static void size_change(struct pd_sim_content *content, uint64_t size)
{
	if (content->older_size_count < PD_SIM_VERSIONS_MAX)
		content->older_sizes[content->older_size_count++] = content->size;
	content->size = size;
}

/* An unsynced truncation is durable now: what was there before it cannot come back. */
static void shrink_commit(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	for (size_t i = 0; i < content->dirty_count; i++) {
		struct pd_sim_page *page = content->pages[content->dirty[i]];

		for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++) {
			struct pd_sim_version **link = &page->older[unit];

			while (*link != NULL && !(*link)->truncated)
				link = &(*link)->older;
			versions_free(disk, link);
		}
	}
	content->shrunk = false;
}

static void size_commit(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	if (content->shrunk)
		shrink_commit(disk, content);
	content->older_size_count = 0;
}

/* A stable write that ends here needs a size at least as large. Truncations before it were in the file system's
 * journal first. */
static void size_commit_at_least(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t end)
{
	bool same = true, grows = false;

	for (unsigned i = 0; i < content->older_size_count; i++)
		grows = grows || content->older_sizes[i] < end;
	if (!grows)
		return;
	if (content->shrunk) {
		size_commit(disk, content);
		return;
	}
	for (unsigned i = 0; i < content->older_size_count; i++) {
		if (content->older_sizes[i] < end)
			content->older_sizes[i] = end;
		same = same && content->older_sizes[i] == content->size;
	}
	if (same)
		content->older_size_count = 0;
}

/* ---- transfers ---- */

static bool is_zero(const struct pd_sim_page *page)
{
	if (page == NULL || page->written == 0)
		return true;
	return page->data[0] == 0 && memcmp(page->data, page->data + 1, PD_SIM_PAGE - 1) == 0;
}

uint64_t pd_sim_content_hash(const struct pd_sim_content *content, uint64_t hash)
{
	hash = pd_sim_mix(hash ^ content->size);
	for (size_t index = 0; index < content->page_capacity; index++)
		if (!is_zero(content->pages[index]))
			hash = pd_hash64(pd_slice(content->pages[index]->data, PD_SIM_PAGE), hash ^ index);
	return hash;
}

size_t pd_sim_content_read(const struct pd_sim_content *content, void *data, size_t size, uint64_t offset)
{
	uint8_t *to = data;
	size_t done = 0;

	if (offset >= content->size)
		return 0;
	if (size > content->size - offset)
		size = (size_t)(content->size - offset);
	while (done < size) {
		const struct pd_sim_page *page = page_at(content, (offset + done) / PD_SIM_PAGE);
		size_t from = (size_t)((offset + done) % PD_SIM_PAGE), part = PD_SIM_PAGE - from;

		if (part > size - done)
			part = size - done;
		if (page != NULL)
			memcpy(to + done, page->data + from, part);
		else
			memset(to + done, 0, part);
		done += part;
	}
	return size;
}

/* The sectors that a stable write touched are stable as they are seen, and nothing beside them. */
static int unit_harden(struct pd_sim_disk *disk, struct pd_sim_page *page, const struct chunk *chunk)
{
	size_t from = chunk->in_unit / PD_SIM_SECTOR * PD_SIM_SECTOR;
	size_t end = (chunk->in_unit + chunk->size + PD_SIM_SECTOR - 1) / PD_SIM_SECTOR * PD_SIM_SECTOR;

	if (page->older[chunk->unit] == NULL)
		return 0;
	if (from > 0 || end < disk->unit)
		return versions_patch(disk, &page->older[chunk->unit], from,
				      unit_data(disk, page, chunk->unit) + from, end - from);
	versions_free(disk, &page->older[chunk->unit]);
	page->lost &= (uint8_t) ~(1U << chunk->unit);
	return 0;
}

static int chunk_write(struct pd_sim_disk *disk, struct pd_sim_content *content, const struct chunk *chunk,
		       const uint8_t *data, enum pd_sim_write_kind kind)
{
	uint8_t bit = (uint8_t)(1U << chunk->unit);
	struct pd_sim_page *page;
	int rc = page_for_write(disk, content, chunk->page, kind != PD_SIM_WRITE_STABLE, &page);

	if (rc != 0)
		return rc;
	/* What is seen but lost was never on the disk and is no version of its own. */
	if (kind != PD_SIM_WRITE_STABLE && (page->lost & bit) == 0)
		rc = version_push(disk, page, chunk->unit, false);
	if (rc != 0)
		return rc;
	memcpy(unit_data(disk, page, chunk->unit) + chunk->in_unit, data, chunk->size);
	page->written |= bit;
	if (kind == PD_SIM_WRITE_LOST)
		page->lost |= bit;
	else if (kind == PD_SIM_WRITE_CACHED)
		page->lost &= (uint8_t)~bit;
	else
		rc = unit_harden(disk, page, chunk);
	return rc;
}

int pd_sim_content_write(struct pd_sim_disk *disk, struct pd_sim_content *content, const void *data,
			 size_t size, uint64_t offset, enum pd_sim_write_kind kind)
{
	size_t done = 0;
	int rc = 0;

	while (done < size && rc == 0) {
		struct chunk chunk = chunk_at(disk, offset + done, size - done);

		rc = chunk_write(disk, content, &chunk, (const uint8_t *)data + done, kind);
		if (rc == 0)
			done += chunk.size;
	}
	if (done > 0 && offset + done > content->size)
		size_change(content, offset + done);
	if (done > 0 && kind == PD_SIM_WRITE_STABLE)
		size_commit_at_least(disk, content, offset + done);
	return rc;
}

void pd_sim_content_write_part(struct pd_sim_disk *disk, struct pd_sim_content *content, const void *data,
			       size_t size, uint64_t offset, enum pd_sim_part part)
{
	uint64_t units = size / disk->unit + 2, end = 0;
	uint64_t front = disk->random->counted ? units : pd_sim_random_below(disk->random, units + 1);
	unsigned chance = pd_sim_random_survival(disk->random);

	for (size_t done = 0; done < size;) {
		struct chunk chunk = chunk_at(disk, offset + done, size - done);
		bool there = part == PD_SIM_PART_FRONT || chance == PD_SIM_COUNTED
				     ? front > 0
				     : pd_sim_random_chance(disk->random, chance);

		if (front > 0)
			front--;
		if (there) {
			if (chunk_write(disk, content, &chunk, (const uint8_t *)data + done,
					PD_SIM_WRITE_CACHED) != 0)
				break;
			end = offset + done + chunk.size;
		}
		done += chunk.size;
	}
	if (end > content->size)
		size_change(content, end);
}

/* ---- sizes and space ---- */

/* Zero what lies beyond a new, smaller size, keeping the old content as versions. */
static int truncate_units(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t size)
{
	for (uint64_t index = size / PD_SIM_PAGE; index < content->page_capacity; index++) {
		struct pd_sim_page *page = content->pages[index];
		size_t from = index == size / PD_SIM_PAGE ? (size_t)(size % PD_SIM_PAGE) : 0;

		if (page == NULL)
			continue;
		for (unsigned unit = (unsigned)(from / disk->unit); unit < PD_SIM_PAGE / disk->unit; unit++) {
			size_t in_unit = from > unit * disk->unit ? from - unit * disk->unit : 0;
			int rc = 0;

			if ((page->written & (1U << unit)) == 0 && page->older[unit] == NULL)
				continue;
			rc = page_for_write(disk, content, (size_t)index, true, &page);
			if (rc == 0 && (page->lost & (1U << unit)) == 0)
				rc = version_push(disk, page, unit, true);
			if (rc != 0)
				return rc;
			memset(unit_data(disk, page, unit) + in_unit, 0, disk->unit - in_unit);
			if (in_unit == 0)
				page->written &= (uint8_t) ~(1U << unit);
			page->lost &= (uint8_t) ~(1U << unit);
		}
		if (from == 0 && page->charged) {
			page->charged = false;
			disk->used_pages--;
		}
	}
	return 0;
}

static void unreserve(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t pages)
{
	if (content->reserved_pages > pages) {
		disk->used_pages -= content->reserved_pages - pages;
		content->reserved_pages = pages;
	}
}

int pd_sim_content_resize(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t size)
{
	if (size < content->size) {
		int rc = truncate_units(disk, content, size);

		if (rc != 0)
			return rc;
		unreserve(disk, content, pages_of(size));
		/* The list of sizes may be full: then the present one is simply not among those that can come
		 * back, and the ones that are there are all from before. */
		size_change(content, size);
		if (!content->shrunk) {
			content->shrunk = true;
			content->shrunk_at = content->older_size_count;
		}
	} else if (size > content->size) {
		size_change(content, size);
	}
	return 0;
}

int pd_sim_content_allocate(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t size)
{
	uint64_t pages = pages_of(size), already = 0, wanted;

	if (pages > content->reserved_pages) {
		uint64_t end = pages < content->page_capacity ? pages : content->page_capacity;

		for (uint64_t i = content->reserved_pages; i < end; i++)
			already += content->pages[i] != NULL && content->pages[i]->charged;
		wanted = pages - content->reserved_pages - already;
		/* More may be used than the limit, which falls while files are there; who wants nothing more is not refused. */
		if (wanted > 0 && disk->used_pages + wanted > disk->limit_pages)
			return ENOSPC;
		for (uint64_t i = content->reserved_pages; i < end; i++)
			if (content->pages[i] != NULL)
				content->pages[i]->charged = false;
		disk->used_pages += wanted;
		content->reserved_pages = pages;
	}
	if (size > content->size)
		size_change(content, size);
	return 0;
}

void pd_sim_content_uncharge(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	unreserve(disk, content, 0);
	for (size_t i = 0; i < content->page_capacity; i++)
		if (content->pages[i] != NULL && content->pages[i]->charged) {
			content->pages[i]->charged = false;
			disk->used_pages--;
		}
}

void pd_sim_content_charge(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	for (size_t i = (size_t)content->reserved_pages; i < content->page_capacity; i++)
		if (content->pages[i] != NULL && !content->pages[i]->charged) {
			content->pages[i]->charged = true;
			disk->used_pages++;
		}
}

/* ---- syncing and losing ---- */

void pd_sim_content_sync(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	size_commit(disk, content);
	for (size_t i = 0; i < content->dirty_count; i++) {
		struct pd_sim_page *page = content->pages[content->dirty[i]];

		for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
			if ((page->lost & (1U << unit)) == 0)
				versions_free(disk, &page->older[unit]);
	}
	dirty_sweep(disk, content);
}

/* Show a version in place of what is seen. NULL: zeros. */
static void unit_show(struct pd_sim_disk *disk, struct pd_sim_page *page, unsigned unit,
		      const struct pd_sim_version *version)
{
	if (version == NULL || version->zero) {
		memset(unit_data(disk, page, unit), 0, disk->unit);
		page->written &= (uint8_t) ~(1U << unit);
	} else {
		memcpy(unit_data(disk, page, unit), version->data, disk->unit);
		page->written |= (uint8_t)(1U << unit);
	}
}

static void unit_sync_failed(struct pd_sim_disk *disk, struct pd_sim_page *page, unsigned unit,
			     unsigned chance)
{
	const struct pd_sim_version *durable = page->older[unit];

	if (durable == NULL || (page->lost & (1U << unit)) != 0)
		return;
	for (; durable->older != NULL; durable = durable->older)
		if (durable->truncated)
			return; /* metadata: it waits for its journal */
	if (durable->truncated)
		return;
	if (pd_sim_random_chance(disk->random, chance)) {
		versions_free(disk, &page->older[unit]);
		return;
	}
	switch (pd_sim_random_below(disk->random, 3)) {
	case 0:
		break; /* still dirty */
	case 1:
		page->lost |= (uint8_t)(1U << unit);
		break;
	default:
		unit_show(disk, page, unit, durable);
		versions_free(disk, &page->older[unit]);
	}
}

void pd_sim_content_sync_failed(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	unsigned chance = pd_sim_random_survival(disk->random);

	for (size_t i = 0; i < content->dirty_count; i++)
		for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
			unit_sync_failed(disk, content->pages[content->dirty[i]], unit, chance);
	dirty_sweep(disk, content);
}

/* Pick the surviving size. Returns whether an unsynced truncation is undone by it. */
static bool size_power_cut(struct pd_sim_disk *disk, struct pd_sim_content *content, unsigned chance)
{
	uint64_t durable = content->older_sizes[0];
	unsigned pick;

	if (content->older_size_count == 0)
		return false;
	if (chance == PD_SIM_COUNTED) {
		/* 0: the durable one, 1: the present one, then those between. */
		pick = (unsigned)pd_sim_random_digit(disk->random, content->older_size_count + 1U);
		if (pick == 1)
			return false;
		pick -= pick > 1;
		content->size = content->older_sizes[pick];
		return content->shrunk && pick < content->shrunk_at;
	}
	if (pd_sim_random_chance(disk->random, chance))
		return false;
	if (disk->random->nothing) {
		content->size = durable;
		return content->shrunk && content->shrunk_at > 0;
	}
	/* The kernel writes a long extension back in pieces. */
	if (!content->shrunk && content->size > durable && pd_sim_random_below(disk->random, 3) == 0) {
		content->size = durable + pd_sim_random_below(disk->random, content->size - durable) /
						  disk->unit * disk->unit;
		return false;
	}
	pick = (unsigned)pd_sim_random_below(disk->random, content->older_size_count);
	content->size = content->older_sizes[pick];
	return content->shrunk && pick < content->shrunk_at;
}

/* 0: the durable one, 1: what is seen, then those between. */
static uint64_t counted_version(struct pd_sim_random *random, uint64_t candidates, bool seen)
{
	uint64_t digit = pd_sim_random_digit(random, candidates + seen);

	if (digit == 0)
		return candidates - 1;
	return seen ? (digit == 1 ? candidates : digit - 2) : digit - 1;
}

/* Pick the surviving version of a unit. A truncation holds for all units or for none. */
static void unit_power_cut(struct pd_sim_disk *disk, struct pd_sim_page *page, unsigned unit, unsigned chance,
			   bool shrink_undone)
{
	const struct pd_sim_version *first = page->older[unit], *version;
	bool seen = (page->lost & (1U << unit)) == 0;
	uint64_t candidates = 0, pick;

	if (first == NULL)
		return;
	for (version = first; version != NULL; version = version->older) {
		if (version->truncated && shrink_undone) {
			first = version;
			candidates = 0;
			seen = false;
		} else if (version->truncated) {
			break;
		}
		candidates++;
	}
	if (candidates == 0)
		pick = 0; /* what is seen: there is nothing else to pick, a truncation left it */
	else if (chance == PD_SIM_COUNTED)
		pick = counted_version(disk->random, candidates, seen);
	else if (seen && pd_sim_random_chance(disk->random, chance))
		pick = candidates; /* what is seen */
	else if (disk->random->nothing || pd_sim_random_below(disk->random, 2) == 0)
		pick = candidates - 1;
	else
		pick = pd_sim_random_below(disk->random, candidates);
	if (pick < candidates) {
		for (version = first; pick > 0; pick--)
			version = version->older;
		unit_show(disk, page, unit, version);
	}
	versions_free(disk, &page->older[unit]);
	page->lost &= (uint8_t) ~(1U << unit);
}

/* Nothing is left beyond the size. */
static void cut_tail(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	uint64_t index = content->size / PD_SIM_PAGE;
	size_t from = (size_t)(content->size % PD_SIM_PAGE);

	for (; index < content->page_capacity; index++, from = 0) {
		struct pd_sim_page *page = content->pages[index];

		if (page == NULL)
			continue;
		memset(page->data + from, 0, PD_SIM_PAGE - from);
		if (from == 0) {
			content->pages[index] = NULL;
			page_free(disk, page);
		}
	}
	unreserve(disk, content, pages_of(content->size));
}

void pd_sim_content_power_cut(struct pd_sim_disk *disk, struct pd_sim_content *content)
{
	unsigned chance;
	bool shrink_undone;

	if (content->dirty_count == 0 && content->older_size_count == 0)
		return;
	chance = pd_sim_random_survival(disk->random);
	shrink_undone = size_power_cut(disk, content, chance);
	for (size_t i = 0; i < content->dirty_count; i++)
		for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
			unit_power_cut(disk, content->pages[content->dirty[i]], unit, chance, shrink_undone);
	content->older_size_count = 0;
	content->shrunk = false;
	dirty_sweep(disk, content);
	cut_tail(disk, content);
}

int pd_sim_content_patch(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t offset,
			 const void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		struct chunk chunk = chunk_at(disk, offset + done, size - done);
		const uint8_t *from = (const uint8_t *)data + done;
		struct pd_sim_page *page;

		if (page_for_write(disk, content, chunk.page, false, &page) != 0)
			return ENOMEM;
		memcpy(unit_data(disk, page, chunk.unit) + chunk.in_unit, from, chunk.size);
		page->written |= (uint8_t)(1U << chunk.unit);
		if (versions_patch(disk, &page->older[chunk.unit], chunk.in_unit, from, chunk.size) != 0)
			return ENOMEM;
		done += chunk.size;
	}
	return 0;
}
