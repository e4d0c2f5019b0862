/* What the files of the door to RocksDB share. C++; inside this folder only. */
#ifndef PD_STORE_ROCKS_SHIM_PRIVATE_HH
#define PD_STORE_ROCKS_SHIM_PRIVATE_HH

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <string>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

extern "C" {
#include "base/error.h"
#include "base/memory.h"
}
#include "store/rocks/shim.h"

#define ROCKS_DERIVED_FAMILY "derived"
#define ROCKS_APPLIED_FAMILY "applied"
#define ROCKS_APPLIED_KEY    "applied"

/* ---- errors: no exception leaves. RocksDB throws none of its own, but memory may run out ---- */

int rocks_code(const rocksdb::Status &status);
std::string rocks_text(const rocksdb::Status &status);
int rocks_fail(struct pd_error *err, const char *what, const rocksdb::Status &status);

template <typename Work> int rocks_guarded(struct pd_error *err, const char *what, Work work)
{
	try {
		return work();
	} catch (const std::bad_alloc &) {
		return pd_error_set(err, PD_NO_MEMORY, "RocksDB, %s: out of memory", what);
	} catch (const std::exception &exception) {
		return pd_error_set(err, PD_IO, "RocksDB, %s: %s", what, exception.what());
	}
}

/* ---- objects, in memory that passes the fault point of pd_malloc() ---- */

template <typename T> T *rocks_make()
{
	void *memory = pd_malloc(sizeof(T));

	if (memory == nullptr)
		throw std::bad_alloc();
	try {
		return new (memory) T();
	} catch (...) {
		pd_free(memory);
		throw;
	}
}

template <typename T> void rocks_destroy(T *object)
{
	if (object != nullptr) {
		object->~T();
		pd_free(object);
	}
}

template <typename T> struct rocks_destroyer {
	void operator()(T *object) const
	{
		rocks_destroy(object);
	}
};
template <typename T> using rocks_owned = std::unique_ptr<T, rocks_destroyer<T>>;

inline rocksdb::Slice rocks_slice(const void *data, size_t size)
{
	return rocksdb::Slice(static_cast<const char *>(data), size);
}

/* ---- the database ---- */

/* Hears of background work that has failed, which no call would report otherwise. */
class RocksListener : public rocksdb::EventListener
{
      public:
	void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status *status) override;
	void OnCompactionBegin(rocksdb::DB *, const rocksdb::CompactionJobInfo &info) override;
	void OnCompactionCompleted(rocksdb::DB *, const rocksdb::CompactionJobInfo &info) override;
	void clear();
	void get(struct pd_rocks_stats *stats);

	std::atomic<bool> failed{ false };
	std::atomic<uint64_t> compactions{ 0 };

      private:
	void fail(const rocksdb::Status &status);

	std::mutex mutex;
	std::string failure;
};

/* The rate of compaction. RocksDB's own limiter goes on spending what it had saved under a higher rate, so a change puts another
 * in its place; none lets everything through. */
class RocksRate : public rocksdb::RateLimiter
{
      public:
	RocksRate() : rocksdb::RateLimiter(Mode::kAllIo)
	{
	}
	using rocksdb::RateLimiter::Request;
	void SetBytesPerSecond(int64_t bytes_per_s) override; /* 0: no limit */
	void Request(const int64_t bytes, const rocksdb::Env::IOPriority priority,
		     rocksdb::Statistics *statistics) override;
	int64_t GetSingleBurstBytes() const override;
	int64_t GetTotalBytesThrough(const rocksdb::Env::IOPriority priority) const override;
	int64_t GetTotalRequests(const rocksdb::Env::IOPriority priority) const override;
	int64_t GetBytesPerSecond() const override;

      private:
	std::shared_ptr<rocksdb::RateLimiter> current() const;

	mutable std::mutex mutex;
	std::shared_ptr<rocksdb::RateLimiter> limiter; /* none: no limit */
};

struct pd_rocks_pin {
	rocksdb::PinnableSlice value;
	struct rocks_pins *home = nullptr;
	struct pd_rocks_pin *next = nullptr;
};

/* Pins that are not in use. One thread's at a time. */
struct rocks_pins {
	struct pd_rocks_pin *free = nullptr;

	struct pd_rocks_pin *take();
	~rocks_pins();
};

struct pd_rocks {
	std::string directory;
	bool read_only = false;
	rocksdb::Options options; /* of data and derived; those of their files are made from it */
	std::shared_ptr<rocksdb::Cache> cache;
	std::shared_ptr<RocksListener> listener = std::make_shared<RocksListener>();
	std::shared_ptr<RocksRate> rate = std::make_shared<RocksRate>();
	rocksdb::ReadOptions get_options, get_options_plain; /* with range tombstones, and without */

	/* Shared by every call that uses the database, and held alone while it is closed and opened anew. */
	std::shared_mutex gate;
	std::unique_ptr<rocksdb::DB> db; /* none: it could not be opened again */
	rocksdb::ColumnFamilyHandle *families[PD_ROCKS_FAMILIES] = {};

	struct rocks_pins pins; /* the reading thread's */
	/* Held while files are taken over. A snapshot that came in the middle would see those files that get no number of
	 * their own, and not the others. */
	std::mutex taking_over;
	std::atomic<bool> cancelled{ false };
	std::atomic<bool> compactions_stopped{ false };
	std::atomic<bool> ranges{ true }; /* some file may hold range tombstones */
	uint64_t looked_at = UINT64_MAX;  /* compactions that were done when files were last asked for them */
};

/* A call that uses the database: work() gives 0 or more, or an error. */
template <typename Work>
int rocks_call(struct pd_rocks *rocks, struct pd_error *err, const char *what, Work work)
{
	return rocks_guarded(err, what, [&]() {
		std::shared_lock<std::shared_mutex> lock(rocks->gate);

		if (!rocks->db)
			return pd_error_set(err, PD_IO, "%s: closed after an error, see pd_levels_resume()",
					    rocks->directory.c_str());
		return work();
	});
}

rocksdb::ColumnFamilyHandle *rocks_family(const struct pd_rocks *rocks, const void *key, size_t size);
rocksdb::BlockBasedTableOptions rocks_table_options(const std::shared_ptr<rocksdb::Cache> &cache);
rocksdb::BlockBasedTableOptions rocks_new_file_options(const std::shared_ptr<rocksdb::Cache> &cache);
rocksdb::ColumnFamilyOptions rocks_applied_options(const std::shared_ptr<rocksdb::Cache> &cache);
rocksdb::Status rocks_open_db(struct pd_rocks *rocks);
rocksdb::Status rocks_close_db(struct pd_rocks *rocks);

#endif
