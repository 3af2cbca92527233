package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Many short requests, some of them cancelled, with steps that now and then take long. */
@Timeout(600)
class TestSoak {
  private static final int REQUESTS = 50_000;
  private static final int OUTSTANDING = 200;
  private static final long HEAP_SLACK = 16L << 20;

  @Test
  void testNothingPilesUp() {
    EngineGrid engines =
        new EngineGrid(
            new CachePolicy.Kivi(2, 2, 32, 32, 0),
            (weights, layout, capacity) ->
                new SlowBackend(CpuBackend.open(weights, layout, capacity, 2)));
    int threads = Thread.activeCount();
    long heapEarly = 0;
    long directEarly = 0;
    int cancelled = 0;
    Random random = new Random(13);
    Deque<CompletableFuture<List<Completion>>> outstanding = new ArrayDeque<>();
    Engine engine = engines.open(new Point(32, 24, PrefixSharing.AUTO, 512));
    try (engine) {
      for (int i = 0; i < REQUESTS; i++) {
        CompletableFuture<List<Completion>> future = engine.submit(request(i, random));
        if (random.nextInt(10) == 0) {
          cancelled += future.cancel(false) ? 1 : 0;
        } else {
          outstanding.add(future);
        }
        if (outstanding.size() > OUTSTANDING) {
          assertEquals(1, outstanding.remove().join().size());
        }
        if (i == REQUESTS / 10) {
          heapEarly = usedHeap();
          directEarly = directBytes();
        }
      }
      outstanding.forEach(CompletableFuture::join);
      long heap = usedHeap();
      System.out.printf(
          "soak: %,d requests, %,d cancelled, %,d steps, %,d swaps, %,d cached tokens; heap %,d"
              + " bytes after a tenth, %,d at the end%n",
          REQUESTS,
          cancelled,
          engine.metrics().steps(),
          engine.metrics().swapOuts(),
          engine.metrics().cachedTokens(),
          heapEarly,
          heap);
      assertTrue(heap < heapEarly + HEAP_SLACK, heap + " bytes of heap, " + heapEarly + " before");
      // Less is possible: tests before this one may have left buffers to be collected.
      long direct = directBytes();
      assertTrue(direct <= directEarly, direct + " bytes outside the heap, " + directEarly);
      assertTrue(cancelled > REQUESTS / 20);
      // All pages but the spare ones: nobody else holds any.
      assertEquals(1, engine.generateAll(List.of(EngineGrid.longest())).size());
    }
    assertTrue(Thread.activeCount() <= threads, "threads are left");
  }

  private static GenerateRequest request(int i, Random random) {
    int beginning = random.nextInt(4);
    int length = 2 + random.nextInt(10) + (beginning == 0 ? 34 : 0);
    int[] prompt = random.ints(length, 3, 288).toArray();
    for (int t = 0; beginning == 0 && t < 34; t++) {
      prompt[t] = 3 + t;
    }
    SamplingParamsBuilder params =
        new SamplingParamsBuilder().temperature(1).maxTokens(1 + random.nextInt(5)).ignoreEos(true);
    return new GenerateRequest("row-" + i, new Prompt.Tokens(prompt), params.build());
  }

  private static long usedHeap() {
    for (int i = 0; i < 3; i++) {
      System.gc();
    }
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  private static long directBytes() {
    return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
        .filter(pool -> pool.getName().equals("direct"))
        .mapToLong(BufferPoolMXBean::getMemoryUsed)
        .sum();
  }

  /** Every 500th step takes a few milliseconds more. */
  private static final class SlowBackend extends ForwardingBackend {
    private int steps;

    SlowBackend(Backend backend) {
      super(backend);
    }

    @Override
    public PendingStep submit(StepBatch batch) {
      if (++steps % 500 == 0) {
        LockSupport.parkNanos(5_000_000);
      }
      return super.submit(batch);
    }
  }
}
