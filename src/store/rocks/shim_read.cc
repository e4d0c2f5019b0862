/* RocksDB's C++ behind shim.h: reading. */
#include "store/rocks/shim_private.hh"

#include <cstring>

#include <rocksdb/snapshot.h>

/* ---- views ---- */

struct pd_rocks_view {
	struct pd_rocks *rocks = nullptr;
	const rocksdb::Snapshot *snapshot = nullptr;
	struct rocks_pins pins;
	rocksdb::ReadOptions get_options, get_options_plain; /* with range tombstones, and without */
};

int pd_rocks_view_new(struct pd_rocks *rocks, struct pd_rocks_view **ret_view, struct pd_error *err)
{
	return rocks_call(rocks, err, "opening a view", [&]() {
		rocks_owned<struct pd_rocks_view> view(rocks_make<struct pd_rocks_view>());
		std::unique_lock<std::mutex> lock(rocks->taking_over, std::try_to_lock);

		if (!lock.owns_lock())
			return pd_error_set(err, PD_AGAIN, "%s: a batch is being committed: try again",
					    rocks->directory.c_str());
		view->rocks = rocks;
		view->snapshot = rocks->db->GetSnapshot();
		view->get_options.snapshot = view->snapshot;
		view->get_options_plain.snapshot = view->snapshot;
		view->get_options_plain.ignore_range_deletions = true;
		*ret_view = view.release();
		return 0;
	});
}

void pd_rocks_view_free(struct pd_rocks_view *view)
{
	(void)rocks_call(view->rocks, nullptr, "closing a view", [&]() {
		view->rocks->db->ReleaseSnapshot(view->snapshot);
		return 0;
	});
	rocks_destroy(view);
}

/* ---- single keys ---- */

struct pd_rocks_pin *rocks_pins::take()
{
	struct pd_rocks_pin *pin = free;

	if (pin != nullptr) {
		free = pin->next;
		return pin;
	}
	pin = rocks_make<struct pd_rocks_pin>();
	pin->home = this;
	return pin;
}

rocks_pins::~rocks_pins()
{
	while (free != nullptr) {
		struct pd_rocks_pin *pin = free;

		free = pin->next;
		rocks_destroy(pin);
	}
}

void pd_rocks_pin_free(struct pd_rocks_pin *pin)
{
	pin->value.Reset();
	pin->next = pin->home->free;
	pin->home->free = pin;
}

/* Range tombstones that have come since the view was opened are no concern of it, so that it does not matter how soon its
 * thread hears of them. */
static const rocksdb::ReadOptions &get_options(const struct pd_rocks *rocks, const struct pd_rocks_view *view)
{
	bool ranges = rocks->ranges.load(std::memory_order_relaxed);

	if (view != nullptr)
		return ranges ? view->get_options : view->get_options_plain;
	return ranges ? rocks->get_options : rocks->get_options_plain;
}

int pd_rocks_get(struct pd_rocks *rocks, struct pd_rocks_view *view, const void *key, size_t key_size,
		 const void **ret_data, size_t *ret_size, struct pd_rocks_pin **ret_pin, struct pd_error *err)
{
	return rocks_call(rocks, err, "reading", [&]() {
		struct pd_rocks_pin *pin = (view != nullptr ? view->pins : rocks->pins).take();
		rocksdb::Status status = rocks->db->Get(get_options(rocks, view),
							rocks_family(rocks, key, key_size),
							rocks_slice(key, key_size), &pin->value);

		if (!status.ok()) {
			pd_rocks_pin_free(pin);
			return status.IsNotFound() ? 0 : rocks_fail(err, "reading", status);
		}
		*ret_data = pin->value.data();
		*ret_size = pin->value.size();
		*ret_pin = pin;
		return 1;
	});
}

int pd_rocks_get_applied(struct pd_rocks *rocks, void *data, size_t capacity, size_t *ret_size,
			 struct pd_error *err)
{
	return rocks_call(rocks, err, "reading the position", [&]() {
		std::string value;
		rocksdb::Status status = rocks->db->Get(
			rocksdb::ReadOptions(), rocks->families[PD_ROCKS_APPLIED], ROCKS_APPLIED_KEY, &value);

		if (status.IsNotFound())
			return 0;
		if (!status.ok())
			return rocks_fail(err, "reading the position", status);
		if (value.size() > capacity)
			return pd_error_set(err, PD_CORRUPT,
					    "RocksDB: the position has %zu bytes, not at most %zu",
					    value.size(), capacity);
		memcpy(data, value.data(), value.size());
		*ret_size = value.size();
		return 1;
	});
}

/* ---- scans ---- */

/* RocksDB 7.8 loses errors while it merges levels in which there are, or may be, range tombstones: a file that cannot be
 * read where a level goes on to it (https://github.com/facebook/rocksdb/pull/11782), or that is met before a tombstone
 * makes it seek (11785), is left out without a word, and with it the rest of its level. When it is told to ignore range
 * tombstones it goes another way, which reports every error.
 *
 * So it is told that there are none whenever there are none, which is almost always. When there may be some, a second
 * scan, which ignores them, goes over all the keys before the first one tells of any: what it could read was there to be
 * merged. Compaction is not concerned: it merges in yet another way. */
struct pd_rocks_iterator {
	std::string upper;
	rocksdb::Slice upper_slice;
	/* Without one RocksDB shows, for a moment, the ranges that a batch deletes and not yet what it puts. */
	std::unique_ptr<rocksdb::ManagedSnapshot> moment; /* none in a view, which has its own */
	std::unique_ptr<rocksdb::Iterator> position;
	std::unique_ptr<rocksdb::Iterator> witness; /* none when there are no range tombstones */
	bool started = false;                       /* the entry that it stands on was told */

	/* Everything up to the position can be read. */
	rocksdb::Status prove()
	{
		if (!position->Valid() && !position->status().ok())
			return position->status();
		if (!witness)
			return rocksdb::Status::OK();
		while (witness->Valid() &&
		       (!position->Valid() || witness->key().compare(position->key()) < 0))
			witness->Next();
		return witness->status();
	}
};

static std::string version_of(const std::unique_ptr<rocksdb::Iterator> &iterator)
{
	std::string version;

	(void)iterator->GetProperty("rocksdb.iterator.super-version-number", &version);
	return version;
}

/* Both scans are of the same files; and files with range tombstones, which may have come while we looked, are not
 * mistaken for files without. */
static void begin_scan(struct pd_rocks *rocks, rocksdb::ColumnFamilyHandle *family,
		       struct pd_rocks_iterator *iterator, rocksdb::ReadOptions options)
{
	bool ranges, same;

	do {
		ranges = rocks->ranges.load();
		iterator->witness.reset();
		options.ignore_range_deletions = !ranges;
		iterator->position.reset(rocks->db->NewIterator(options, family));
		if (ranges) {
			options.ignore_range_deletions = true;
			iterator->witness.reset(rocks->db->NewIterator(options, family));
			same = version_of(iterator->witness) == version_of(iterator->position);
		} else {
			same = !rocks->ranges.load();
		}
	} while (!same);
}

int pd_rocks_iterator_new(struct pd_rocks *rocks, const struct pd_rocks_view *view, const void *from,
			  size_t from_size, const void *to, size_t to_size, bool same_prefix, bool much,
			  struct pd_rocks_iterator **ret_iterator, struct pd_error *err)
{
	return rocks_call(rocks, err, "seeking", [&]() {
		rocks_owned<struct pd_rocks_iterator> iterator(rocks_make<struct pd_rocks_iterator>());
		rocksdb::ReadOptions options;

		iterator->upper.assign(static_cast<const char *>(to), to_size);
		iterator->upper_slice = iterator->upper;
		if (view == nullptr)
			iterator->moment = std::make_unique<rocksdb::ManagedSnapshot>(rocks->db.get());
		options.snapshot = view != nullptr ? view->snapshot : iterator->moment->snapshot();
		options.iterate_upper_bound = &iterator->upper_slice;
		options.total_order_seek = !same_prefix;
		options.background_purge_on_iterator_cleanup = true;
		if (much) { /* one read for many blocks, which do not make others leave the cache */
			options.readahead_size = 1024 * 1024;
			options.fill_cache = false;
		}
		begin_scan(rocks, rocks_family(rocks, from, from_size), iterator.get(), options);
		if (iterator->witness)
			iterator->witness->Seek(rocks_slice(from, from_size));
		iterator->position->Seek(rocks_slice(from, from_size));
		rocksdb::Status status = iterator->prove();
		if (!status.ok())
			return rocks_fail(err, "seeking", status);
		*ret_iterator = iterator.release();
		return 0;
	});
}

int pd_rocks_iterator_next(struct pd_rocks_iterator *iterator, const void **ret_key, size_t *ret_key_size,
			   const void **ret_value, size_t *ret_value_size, struct pd_error *err)
{
	return rocks_guarded(err, "reading on", [&]() {
		rocksdb::Iterator *position = iterator->position.get();

		if (iterator->started && position->Valid())
			position->Next();
		iterator->started = true;
		rocksdb::Status status = iterator->prove();
		if (!status.ok())
			return rocks_fail(err, "reading on", status);
		if (!position->Valid())
			return 0;
		*ret_key = position->key().data();
		*ret_key_size = position->key().size();
		*ret_value = position->value().data();
		*ret_value_size = position->value().size();
		return 1;
	});
}

void pd_rocks_iterator_free(struct pd_rocks_iterator *iterator)
{
	rocks_destroy(iterator);
}
