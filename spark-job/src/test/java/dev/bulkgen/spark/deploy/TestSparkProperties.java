package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.config.Mistakes;
import dev.bulkgen.spark.config.SessionSettings;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.k8s.Config$;
import org.apache.spark.internal.config.ConfigEntry;
import org.apache.spark.network.util.JavaUtils;
import org.apache.spark.resource.ResourceUtils;
import org.apache.spark.sql.internal.SQLConf$;
import org.apache.spark.sql.internal.StaticSQLConf$;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import scala.jdk.javaapi.CollectionConverters;

/** Names and values of Spark's settings, as Spark itself reads them. */
class TestSparkProperties {
  private static final List<Object> REGISTRARS =
      List.of(
          org.apache.spark.internal.config.package$.MODULE$,
          org.apache.spark.internal.config.UI$.MODULE$,
          org.apache.spark.deploy.yarn.config.package$.MODULE$,
          Config$.MODULE$,
          SQLConf$.MODULE$,
          StaticSQLConf$.MODULE$);

  static Stream<String> files() throws Exception {
    return DeployFiles.ending(".properties").stream().filter(name -> name.contains("/spark-"));
  }

  @ParameterizedTest
  @MethodSource("files")
  void testSparkKnowsNamesAndValues(String file) {
    Map<String, String> properties = DeployFiles.properties(file);
    assertTrue(properties.size() > 3, properties.toString());
    check(properties);
  }

  /** That Spark, and for what is ours we, take every name and its value. */
  static void check(Map<String, String> properties) {
    assertFalse(REGISTRARS.isEmpty());
    SparkConf conf = DeployFiles.sparkConf(properties);
    for (String name : properties.keySet()) {
      boolean ours =
          name.startsWith(SessionSettings.PREFIX) || name.equals("spark.sql.catalog.bulkgen");
      boolean resource = name.contains(".resource.gpu.");
      if (!ours && !resource) {
        ConfigEntry<?> entry = ConfigEntry.findEntry(name);
        assertTrue(entry != null, "Spark has no setting " + name);
        conf.get(entry);
      }
    }
    Mistakes mistakes = new Mistakes();
    SessionSettings.of(properties, mistakes);
    mistakes.throwIfAny();
    for (String name :
        List.of("spark.plugins", "spark.sql.extensions", "spark.sql.catalog.bulkgen")) {
      if (properties.containsKey(name)) {
        assertTrue(isClass(properties.get(name)), name);
      }
    }
  }

  private static boolean isClass(String name) {
    try {
      return Class.forName(name) != null;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  /** One GPU an executor, shared by as many tasks as the executor has cores. */
  @ParameterizedTest
  @MethodSource("files")
  void testSlotsShareOneGpu(String file) {
    SparkConf conf = DeployFiles.sparkConf(DeployFiles.properties(file));
    var requests =
        CollectionConverters.asJava(ResourceUtils.parseAllResourceRequests(conf, "spark.executor"));
    if (!requests.isEmpty()) {
      assertEquals(1, requests.get(0).amount());
      int cores = Integer.parseInt(conf.get("spark.executor.cores"));
      double share = Double.parseDouble(conf.get("spark.task.resource.gpu.amount"));
      assertEquals(cores, (int) Math.floor(1 / share));
    }
  }

  /** What Java may take outside the heap fits into what the container leaves for it. */
  @ParameterizedTest
  @MethodSource("files")
  void testDirectMemoryFitsIntoTheOverhead(String file) {
    Map<String, String> properties = DeployFiles.properties(file);
    String options = properties.get("spark.executor.extraJavaOptions");
    if (options != null) {
      long direct =
          JavaUtils.byteStringAsMb(options.replaceAll(".*MaxDirectMemorySize=(\\S+).*", "$1"));
      long overhead = JavaUtils.byteStringAsMb(properties.get("spark.executor.memoryOverhead"));
      assertTrue(direct < overhead, direct + " MB of " + overhead);
    }
  }
}
