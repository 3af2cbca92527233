package dev.bulkgen.spark.deploy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.StringReader;
import java.lang.reflect.Field;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.spark.resource.ResourceUtils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import scala.jdk.javaapi.CollectionConverters;

class TestClusterFiles {

  /** Every key of YARN that its own class names. */
  private static Set<String> yarnKeys() throws IllegalAccessException {
    Set<String> keys = new TreeSet<>();
    for (Field field : YarnConfiguration.class.getFields()) {
      if (field.getType() == String.class) {
        keys.add((String) field.get(null));
      }
    }
    return keys;
  }

  @ParameterizedTest
  @ValueSource(strings = {"resource-types.xml", "yarn-site.xml"})
  void testYarnKnowsTheKeys(String file) throws Exception {
    Set<String> known = yarnKeys();
    List<String> keys = keys(file);
    assertTrue(!keys.isEmpty());
    keys.forEach(key -> assertTrue(known.contains(key), key));
  }

  private static List<String> keys(String file) {
    Configuration configuration = new Configuration(false);
    configuration.addResource(new Path(DeployFiles.ROOT.resolve("deploy/yarn/" + file).toUri()));
    return configuration.getPropsWithPrefix("").keySet().stream().sorted().toList();
  }

  @Test
  void testGpusAreCounted() throws Exception {
    assertEquals(
        List.of("yarn.scheduler.capacity.resource-calculator"), keys("capacity-scheduler.xml"));
    Properties executor = new Properties();
    executor.load(
        new StringReader(
            DeployFiles.text("deploy/yarn/container-executor.cfg").replaceAll("(?m)^\\[.*", "")));
    assertEquals(
        Map.of(
            "module.enabled", "true", "root", "/sys/fs/cgroup", "yarn-hierarchy", "/hadoop-yarn"),
        executor);
  }

  /** As a worker reads the file of its resources. */
  @Test
  void testWorkersResources() {
    var found =
        CollectionConverters.asJava(
            ResourceUtils.parseAllocatedFromJsonFile(
                DeployFiles.ROOT.resolve("deploy/standalone/worker-resources.json").toString()));
    assertEquals(1, found.size());
    assertEquals("spark.worker", found.get(0).id().componentName());
    assertEquals("gpu", found.get(0).id().resourceName());
    assertEquals(
        List.of("0", "1"), List.copyOf(CollectionConverters.asJava(found.get(0).addresses())));
  }
}
