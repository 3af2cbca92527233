package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.cache.SequenceCache;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Buckets of decoding rows. */
class TestDecodeRows {
  @Test
  void bucketsAreFewAndLittleLargerThanTheirRows() {
    int buckets = 0;
    int last = 0;
    for (int count = 1; count <= 1000; count++) {
      int bucket = DecodeRows.bucket(count, 1000);
      assertTrue(bucket >= count && bucket >= last, count + " rows in " + bucket);
      assertTrue(count <= 8 || bucket <= count * 9 / 8 + 1, count + " rows in " + bucket);
      buckets += bucket == last ? 0 : 1;
      last = bucket;
    }
    assertEquals(1000, last);
    assertTrue(buckets <= 64, buckets + " buckets");
  }

  @Test
  void emptyRowsDoNothing() {
    SequenceCache cache = new SequenceCache(5, 1);
    cache.advance(41);
    SequenceStep step = new SequenceStep(cache, new int[] {7}, null, LogitsRequest.NONE);
    DecodeRows rows = new DecodeRows(List.of(step, step, step), 8);
    assertEquals(4, rows.bucket);
    assertArrayEquals(new int[] {7, 7, 7, -1}, rows.tokens);
    assertArrayEquals(new int[] {41, 41, 41, -1}, rows.positions);
    assertArrayEquals(new int[] {5, 5, 5, 0}, rows.slots);
    assertEquals(42, rows.longest);
  }
}
