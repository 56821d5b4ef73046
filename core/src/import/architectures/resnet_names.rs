//! What the three families of ResNet files call their tensors.

use crate::import::safetensors::StoredTensors;

/// A place of a convolution and the batch norm after it. Stages and blocks count from 0, convolutions of a
/// block from 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Stem,
    Block { stage: usize, block: usize, number: usize },
    Shortcut { stage: usize, block: usize },
}

/// A way to name tensors, with what stands before each name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// torchvision and timm.
    Torchvision { prefix: String },
    /// `ResNetForImageClassification` of Hugging Face; the classifier lies beside the network.
    HuggingFace { prefix: String, outer: String },
}

const TORCHVISION_STEM: &str = "conv1.weight";
const HUGGING_FACE_STEM: &str = "embedder.embedder.convolution.weight";

impl Names {
    /// The way that these tensors are named; `None` if they are no ResNet's. A prefix such as `module.` or
    /// `model.` is whatever stands before the name of the first convolution.
    pub(super) fn recognise(tensors: &StoredTensors) -> Option<Self> {
        let prefix_before = |stem: &str| {
            let prefixes = tensors.keys().filter_map(|name| name.strip_suffix(stem));
            // `layer1.0.conv1.weight` ends so too; the stem has the shortest prefix.
            prefixes
                .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
                .min_by_key(|prefix| prefix.len())
        };
        if let Some(prefix) = prefix_before(HUGGING_FACE_STEM) {
            let outer = prefix.strip_suffix("resnet.").unwrap_or(prefix).into();
            return Some(Names::HuggingFace { prefix: prefix.into(), outer });
        }
        let prefix = prefix_before(TORCHVISION_STEM)?;
        // One block there must be, or it is some other network whose first convolution is `conv1`.
        tensors
            .contains_key(&format!("{prefix}layer1.0.conv1.weight"))
            .then(|| Names::Torchvision { prefix: prefix.into() })
    }

    /// Name of the convolution, without `.weight`.
    pub(super) fn convolution(&self, place: Place) -> String {
        match (self, place) {
            (Names::Torchvision { prefix }, Place::Stem) => format!("{prefix}conv1"),
            (Names::Torchvision { prefix }, Place::Block { stage, block, number }) => {
                format!("{prefix}layer{}.{block}.conv{number}", stage + 1)
            }
            (Names::Torchvision { prefix }, Place::Shortcut { stage, block }) => {
                format!("{prefix}layer{}.{block}.downsample.0", stage + 1)
            }
            (Names::HuggingFace { .. }, place) => format!("{}.convolution", self.hugging_face_layer(place)),
        }
    }

    /// Name of the batch norm, without `.weight`, `.bias`, `.running_mean` and `.running_var`.
    pub(super) fn batch_norm(&self, place: Place) -> String {
        match (self, place) {
            (Names::Torchvision { prefix }, Place::Stem) => format!("{prefix}bn1"),
            (Names::Torchvision { prefix }, Place::Block { stage, block, number }) => {
                format!("{prefix}layer{}.{block}.bn{number}", stage + 1)
            }
            (Names::Torchvision { prefix }, Place::Shortcut { stage, block }) => {
                format!("{prefix}layer{}.{block}.downsample.1", stage + 1)
            }
            (Names::HuggingFace { .. }, place) => format!("{}.normalization", self.hugging_face_layer(place)),
        }
    }

    /// Name of the fully connected layer, without `.weight` and `.bias`.
    pub(super) fn classifier(&self) -> String {
        match self {
            Names::Torchvision { prefix } => format!("{prefix}fc"),
            Names::HuggingFace { outer, .. } => format!("{outer}classifier.1"),
        }
    }

    fn hugging_face_layer(&self, place: Place) -> String {
        let (Names::HuggingFace { prefix, .. } | Names::Torchvision { prefix }) = self;
        match place {
            Place::Stem => format!("{prefix}embedder.embedder"),
            Place::Block { stage, block, number } => {
                format!("{prefix}encoder.stages.{stage}.layers.{block}.layer.{}", number - 1)
            }
            Place::Shortcut { stage, block } => {
                format!("{prefix}encoder.stages.{stage}.layers.{block}.shortcut")
            }
        }
    }
}
