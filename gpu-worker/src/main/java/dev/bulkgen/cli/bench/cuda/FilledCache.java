package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CacheKernels;
import dev.bulkgen.backend.cuda.CudaCacheView;
import dev.bulkgen.backend.cuda.DecodeAttentionKernels;
import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.PromptView;
import dev.bulkgen.backend.cuda.RotaryKernels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.tensor.DType;

/**
 * A cache of one layer on the device, in the state in which a decode step attends: prompts of all
 * tokens but one, stored, and the last token appended. Every number is known here.
 */
final class FilledCache {
  // Makes attention look at a few tokens instead of averaging all, so that a check sees a mistake.
  private static final float QUERY_MAGNITUDE = 8;
  private static final float EPSILON = 1e-5f;
  // A prime above any number of pages here: neighbours of a sequence lie apart in the pool.
  private static final int PAGE_STEP = 1_000_003;
  private static final int LEAST_BYTES = 16;

  private final Device device;
  private final CacheLayout layout;
  private final AttentionShape heads;
  private final int batch;
  private final int context;
  private final RandomNumbers keys = new RandomNumbers(DType.F16, 1, 10);
  private final RandomNumbers values = new RandomNumbers(DType.F16, 1, 11);
  private final RandomNumbers added = new RandomNumbers(DType.F32, 1, 12);
  private final CudaCacheView view;
  private final CacheKernels cacheKernels;
  private final RotaryKernels rotary;
  private final PromptView prompts;
  private final CacheKernels.Stored stored;
  private final RotaryKernels.Rows appended;
  private final DecodeAttentionKernels.Rows rows;

  /** Takes memory of {@code device} until its release. */
  FilledCache(Device device, CacheLayout layout, AttentionShape heads, int batch, int context) {
    this.device = device;
    this.layout = layout;
    this.heads = heads;
    this.batch = batch;
    this.context = context;
    int pages = layout.pagesPerLayer(context);
    DeviceMemory pool = device.take((long) batch * pages * layout.pageBytes(), "cache pages");
    DeviceMemory windows =
        device.take(Math.max(LEAST_BYTES, batch * layout.windowBytes()), "cache windows");
    DeviceMemory table = device.take("page table", pageTable(batch * pages));
    view = new CudaCacheView(layout, pool.address(), windows.address(), table.address(), pages);
    cacheKernels = new CacheKernels(device.kernels(), layout);
    int length = context - 1;
    int[] slots = new int[batch];
    int[] firstRow = new int[batch];
    int[] positions = new int[batch];
    for (int i = 0; i < batch; i++) {
      slots[i] = i;
      firstRow[i] = i * length;
      positions[i] = length;
    }
    long slotAddress = device.take("slots", slots).address();
    long positionAddress = device.take("positions", positions).address();
    long count = (long) batch * length * heads.kvWidth();
    int[] none = new int[batch];
    prompts =
        new PromptView(
            device.take(keys, count, "keys").address(),
            device.take(values, count, "values").address(),
            device.take("first rows", firstRow).address(),
            positionAddress,
            device.take("earlier tokens", none).address(),
            slotAddress,
            PromptView.Kept.NONE);
    stored =
        new CacheKernels.Stored(
            batch, length, positionAddress, device.take("shared pages", none).address());
    DeviceMemory query = device.take((long) Float.BYTES * batch * heads.queryWidth(), "queries");
    rotary = new RotaryKernels(device.kernels(), heads, EPSILON, unrotated(context));
    appended =
        new RotaryKernels.Rows(
            batch,
            device.take("queries, keys, values", newRows()).address(),
            qkvStride(),
            positionAddress,
            query.address());
    rows = new DecodeAttentionKernels.Rows(batch, query.address(), positionAddress, slotAddress);
  }

  private int qkvStride() {
    return heads.queryWidth() + 2 * heads.kvWidth();
  }

  private static int[] pageTable(int pages) {
    int[] table = new int[pages];
    for (int i = 0; i < pages; i++) {
      table[i] = (int) ((long) i * PAGE_STEP % pages);
    }
    return table;
  }

  /** Address of rotation angles that are all 0. */
  private long unrotated(int positions) {
    float[] cosSin = new float[positions * heads.headDim()];
    for (int i = 0; i < cosSin.length; i++) {
      cosSin[i] = i % heads.headDim() < heads.headDim() / 2 ? 1 : 0;
    }
    return device.take("rotation angles", cosSin).address();
  }

  private float[] newRows() {
    float[] all = new float[batch * qkvStride()];
    for (int row = 0; row < batch; row++) {
      for (int i = 0; i < qkvStride(); i++) {
        all[row * qkvStride() + i] = newNumber(row, i);
      }
    }
    return all;
  }

  /** Number {@code i} of the queries, keys and values of a row's new token. */
  private float newNumber(int row, int i) {
    float number = added.at((long) row * qkvStride() + i);
    return i < heads.queryWidth() ? QUERY_MAGNITUDE * number : number;
  }

  CacheLayout layout() {
    return layout;
  }

  CudaCacheView view() {
    return view;
  }

  DecodeAttentionKernels.Rows rows() {
    return rows;
  }

  void storePrompts() {
    cacheKernels.storePrompts(device.stream, view, 0, prompts, stored);
  }

  /** Puts the last tokens' K and V into the cache, and makes their queries. */
  void appendToken() {
    rotary.decode(device.stream, appended, RotaryKernels.HeadNorms.NONE, view, 0, rows.slots());
  }

  boolean flushes() {
    return cacheKernels.flushes();
  }

  /** Quantizes what the last tokens push out of the windows; again does the same again. */
  void flush() {
    cacheKernels.flush(device.stream, view, 0, batch, rows.positions(), rows.slots());
  }

  /** What a row's head attends to. */
  CacheContent content(int row, int kvHead) {
    int headDim = heads.headDim();
    float[][] headKeys = new float[context][headDim];
    float[][] headValues = new float[context][headDim];
    for (int position = 0; position < context - 1; position++) {
      long at = ((long) row * (context - 1) + position) * heads.kvWidth() + (long) kvHead * headDim;
      for (int d = 0; d < headDim; d++) {
        headKeys[position][d] = keys.at(at + d);
        headValues[position][d] = values.at(at + d);
      }
    }
    int newKey = heads.queryWidth() + kvHead * headDim;
    for (int d = 0; d < headDim; d++) {
      headKeys[context - 1][d] = CacheContent.rounded(newNumber(row, newKey + d));
      headValues[context - 1][d] =
          CacheContent.rounded(newNumber(row, newKey + heads.kvWidth() + d));
    }
    return new CacheContent(layout, headKeys, headValues, context - 1);
  }

  /** The query of a row's head, scaled as kernels take it. */
  float[] query(int row, int head) {
    float[] query = new float[heads.headDim()];
    double scale = 1 / (Math.log(2) * Math.sqrt(heads.headDim()));
    for (int d = 0; d < query.length; d++) {
      query[d] = (float) (scale * newNumber(row, head * heads.headDim() + d));
    }
    return query;
  }
}
